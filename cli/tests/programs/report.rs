//! `colearn report` and the verdicts in `colearn results`.

use crate::lab::{Lab, SWEEP, text};

const PUBLISHED: &str = "modality_dropout.audio,unimodal,accuracy\n0,false,.27\n0.5,false,.45\n,true,.45\n";

#[test]
fn a_report_of_a_real_sweep() {
    let lab = Lab::new();
    let report_key =
        "report: {metrics: [accuracy, loss], baseline: {unimodal: true}, reference: published.csv}\n";
    std::fs::create_dir(lab.path().join("sweeps")).unwrap();
    lab.write("sweeps/small.yaml", &format!("{SWEEP}{report_key}"));
    lab.write("sweeps/published.csv", PUBLISHED);
    let run = ["run", "sweeps/small.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    assert!(text(&output.stdout).contains("vs baseline"), "{}", text(&output.stdout));

    // The reference is not found from this folder: the report is made anyway.
    let output = lab.colearn(&["report", "small"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "reports/small/index.html\n");
    let warning = text(&output.stderr);
    assert!(warning.contains("`published.csv`") && warning.contains("--sweep-file"), "{warning}");
    let page = std::fs::read_to_string(lab.path().join("reports/small/index.html")).unwrap();
    assert!(page.contains("3 configurations × 2 seeds; 6 of 6 results."), "{page}");
    assert!(page.contains("cpu x1 (6 tasks)"), "{page}");
    assert!(!page.contains("Beside the published means"));
    let digest = lab.json(&["data", "inspect", "demo", "--json"])["digest"].as_str().unwrap().to_owned();
    assert!(page.contains(&format!("<dt>data set demo</dt><dd>sha256 {digest}</dd>")), "{page}");
    // The tests are built with the same variable as the program.
    let commit = option_env!("COLEARN_COMMIT").map_or_else(String::new, |it| format!(" (commit {it})"));
    let version = format!("<dt>colearn</dt><dd>{}{commit}</dd>", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(&version), "no {version} in {page}");
    for file in ["results.csv", "results.md", "results.tex", "results.json", "sweep.json", "plots/loss.svg"] {
        assert!(lab.path().join("reports/small").join(file).is_file(), "{file}");
    }
    // The file equals the output of the command, with the same numbers.
    let json = std::fs::read_to_string(lab.path().join("reports/small/results.json")).unwrap();
    let printed = lab.json(&["results", "small", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), printed);
    assert_eq!(printed["configurations"][0]["comparisons"]["accuracy"]["pairs"], 2);

    let named = ["report", "small", "--sweep-file", "sweeps/small.yaml", "--out", "elsewhere"];
    let output = lab.colearn(&named);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let warning = text(&output.stderr);
    assert!(warning.contains("line 3") && warning.contains("matches no configuration"), "{warning}");
    let page = std::fs::read_to_string(lab.path().join("elsewhere/index.html")).unwrap();
    assert!(page.contains("<dt>sweep file</dt><dd>sweeps/small.yaml</dd>"), "{page}");
    assert!(
        page.contains("Beside the published means") && page.contains("matches no configuration"),
        "{page}"
    );

    lab.write("sweeps/published.csv", "unimodal,accuracy\ntrue,good\n");
    let output = lab.colearn(&named);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("`good` in line 2"), "{}", text(&output.stderr));
    lab.write("sweeps/small.yaml", &SWEEP.replace("name: small", "name: other"));
    let output = lab.colearn(&named);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("is the sweep `other`"), "{}", text(&output.stderr));
    assert_eq!(lab.colearn(&["report", "smal"]).status.code(), Some(8));
}
