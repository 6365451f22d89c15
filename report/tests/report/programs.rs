//! Tests reports of programs, whose metrics, curves and parameters have any names and values.

use std::collections::{BTreeMap, HashMap};

use colearn_core::{
    result::{Direction, EpochRecord, TaskResult},
    settings::{Parameter, ProgramSettings, TaskSettings},
    sweep::{Configuration, Sweep},
    table::{ResultsTable, TaskOutcome},
};
use colearn_report::{Material, Provenance, Reference, heading_and_rows, summary_line, text, warnings};
use serde_json::{Value, json};

use crate::{Written, made_up::Draws};

/// Names and values of one configuration, its `r2`, and whether it is the baseline.
type Point = (Vec<(&'static str, Value)>, f64, bool);

/// Results of a program: five seeds of each point.
fn material(points: Vec<Point>) -> Material {
    let source = "name: net\ndataset: d\nprimary: p\nseeds: [0, 1, 2, 3, 4]";
    let mut sweep = Sweep::parse(source, "sweep.yaml").unwrap_or_else(|errors| panic!("{errors}")).sweep;
    sweep.report.metrics = ["r2", "rmse", "tokens/s"].map(str::to_owned).to_vec();
    sweep.report.matched = false;
    sweep.parameters = points[0].0.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut outcomes = HashMap::new();
    sweep.configurations = points
        .into_iter()
        .enumerate()
        .map(|(index, (values, r2, baseline))| {
            let own = |(name, value): &(&str, Value)| Parameter((*name).to_owned(), value.clone());
            let settings = TaskSettings::Program(ProgramSettings {
                command: ["python3", "train.py", "${args}"].map(str::to_owned).to_vec(),
                parameters: values.iter().map(own).collect(),
                directory: "net".to_owned(),
                metrics: sweep.report.metrics.clone(),
                ..ProgramSettings::default()
            });
            let id = settings.configuration_id();
            for seed in &sweep.seeds {
                let done = result(r2, seed * 31 + index as u64);
                outcomes.insert((id, *seed), TaskOutcome::Done(done));
            }
            let values: BTreeMap<_, _> =
                values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let (settings, values) = (settings.into(), values.into());
            Configuration { id, settings, values, baseline, compared_with: None, cohort_key: id.0 }
        })
        .collect();
    Material {
        sweep,
        outcomes,
        failures: Vec::new(),
        reference: None,
        provenance: Provenance { version: "0.1.0".to_owned(), ..Provenance::default() },
    }
}

fn result(r2: f64, seed: u64) -> TaskResult {
    let mut draws = Draws::new(seed);
    let r2 = r2 + 0.01 * draws.next();
    let record = |epoch: u32| {
        let mut values: BTreeMap<String, f64> = [
            ("train_loss".to_owned(), 3e-7 / f64::from(epoch)),
            ("tokens/s".to_owned(), 52_000.0 + 100.0 * draws.next()),
        ]
        .into();
        if epoch.is_multiple_of(5) {
            values.insert("val_loss".to_owned(), 4e-7 / f64::from(epoch));
        }
        EpochRecord { epoch, values: values.into() }
    };
    let history = (1..=20).map(record).collect();
    TaskResult {
        metrics: [
            ("r2".to_owned(), r2),
            ("rmse".to_owned(), 1234.5 * (1.0 - r2)),
            ("tokens/s".to_owned(), 52_345.6 + 10.0 * draws.next()),
            ("val nll".to_owned(), 3e-7 * (1.0 + 0.1 * draws.next())),
        ]
        .into(),
        history,
        seconds: 2.0,
        device: "cuda:0".to_owned(),
        data_digest: "ab".repeat(32),
        commit: "c0ffee".to_owned(),
        ..TaskResult::default()
    }
}

/// Parameters of every type.
pub(crate) fn words() -> Material {
    let point = |optimizer: &str, layers: Value, r2: f64, baseline| {
        let values = vec![
            ("optimizer", json!(optimizer)),
            ("layers", layers),
            ("augment", json!(true)),
            ("warmup", Value::Null),
        ];
        (values, r2, baseline)
    };
    material(vec![
        point("sgd", json!([64, 64]), 0.70, true),
        point("sgd", json!([128]), 0.72, false),
        point("adam", json!([64, 64]), 0.81, false),
        point("adam", json!([128]), 0.60, false),
    ])
}

#[test]
fn metrics_of_any_size_and_parameters_of_any_type_are_readable() {
    let mut material = words();
    material.sweep.report.choose_by = Some("val nll".to_owned());
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            let nll = 1e-7 * (1.0 - result.metrics["r2"]);
            result.metrics.insert("val nll", nll);
        }
    }
    let mut unknown = material.clone();
    unknown.sweep.report.choose_by = Some("val nil".to_owned());
    let warned = warnings(&unknown.table());
    assert!(warned.iter().any(|it| it.contains("`val nil` of `report.choose_by`; known are ")), "{warned:?}");
    assert!(!warnings(&material.table()).iter().any(|it| it.contains("choose_by")));
    let report = Written::new(&material);
    let page = report.page();
    assert!(Written::new(&words()).page().contains("`report.choose_by` names no metric to choose by"));
    for said in [
        "<th>rmse</th>",
        "<th>tokens/s</th>",
        "<td>adam</td><td>[64,64]</td><td>true</td><td>null</td><td>5</td>",
        "Best val nll: <strong>optimizer=adam layers=[64,64]</strong> with r2 0.8",
        "Compared with the baseline (optimizer=sgd layers=[64,64]).",
        "<dt>commit of the program</dt><dd>c0ffee</dd>",
        "<dt>program net: python3 train.py ${args}</dt>",
        "<h2>Learning curves</h2>",
        // Lower is better for one of the metrics, by its name.
        "<td class=\"best\">0.8",
        "the best is the one with the best mean val nll",
    ] {
        assert!(page.contains(said), "`{said}` is not in {page}");
    }
    for wrong in
        ["modalit", "PCL", "NCL", "PCL better", "verdict:", "trained parameters", "Confusion", "test split"]
    {
        let (_, body) = page.split_once("</style>").unwrap();
        assert!(!body.contains(wrong), "`{wrong}` is in {body}");
    }
    let markdown = report.file("results.md");
    let adam = markdown.lines().find(|line| line.starts_with("| adam | [64,64] ")).unwrap();
    let cells: Vec<&str> = adam.split(" | ").collect();
    assert!(
        cells[5].starts_with("0.8") && cells[6].starts_with("23") && cells[7].starts_with("5234"),
        "{adam}"
    );
    assert!(cells[8].starts_with("+0.1") && cells[8].contains(" ["), "the difference without a word: {adam}");
}

#[test]
fn comparisons_without_verdicts_have_intervals_and_p_values() {
    let material = words();
    let table = material.table();
    assert!(!table.is_of_networks() && table.configurations.iter().all(|row| table.verdict(row).is_none()));
    let page = Written::new(&material).page();
    let section =
        page.split("<h2>Against the baseline</h2>").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(section.matches("<tr>").count(), 1 + 3 * 3, "{section}");
    assert!(!section.contains("verdict") && section.contains("<th>adjusted p</th>"), "{section}");
    assert!(section.contains("&lt;0.001"), "{section}");
    let line = summary_line(&table);
    assert!(
        line.ends_with(
            "; last column: mean difference to the baseline, paired by seed, with its 95 % interval for all 3 comparisons at once (Dunnett)"
        )
    );
    let latex = text::latex(&table);
    assert!(
        latex.contains(" Last column: mean difference to the baseline with its interval, paired by seed.}"),
        "{latex}"
    );
    assert!(latex.contains("& $+0.1"), "{latex}");
    assert!(latex.contains("    sgd & {[}64,64] & true & null & 5 & "), "{latex}");
}

#[test]
fn numbers_with_exponents_are_formulas_in_latex_and_numbers_elsewhere() {
    let mut material = words();
    material.sweep.report.metrics = vec!["val nll".to_owned()];
    let report = Written::new(&material);
    assert!(report.file("results.tex").contains("\\times 10^{-7}"), "{}", report.file("results.tex"));
    assert!(report.file("results.md").contains("e-7 ± "));
    let csv = report.file("results.csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let column = heading.iter().position(|name| name == "val nll_mean").unwrap();
    for record in reader.records() {
        let mean: f64 = record.unwrap()[column].parse().unwrap();
        assert!((mean / 3e-7 - 1.0).abs() < 0.1, "{mean}");
    }
    assert!(report.file("plots/val-nll.svg").contains("e-7</text>"));
}

#[test]
fn the_direction_is_that_of_the_name_or_of_the_sweep() {
    let best = |material: &Material| {
        let page = Written::new(material).page();
        page.split("<p class=\"lead\">").nth(1).unwrap().split("</p>").next().unwrap().to_owned()
    };
    let mut material = words();
    assert!(!best(&material).contains("Best"), "nothing to choose by: {}", best(&material));
    material.sweep.report.choose_by = Some("rmse".to_owned());
    assert!(best(&material).contains("with r2 0.8"), "{}", best(&material));
    material.sweep.report.metrics.swap(0, 1);
    assert!(best(&material).contains("with rmse 23"), "{}", best(&material));
    assert!(Written::new(&material).file("plots/rmse.svg").contains("rmse (lower is better)"));
    material.sweep.report.better.insert("rmse".to_owned(), Direction::Higher);
    assert!(best(&material).contains("with rmse 49"), "{}", best(&material));
    assert!(Written::new(&material).file("plots/rmse.svg").contains("rmse (higher is better)"));
    let json: Value = serde_json::from_str(&Written::new(&material).file("results.json")).unwrap();
    assert_eq!(json["better"], json!({"rmse": "higher"}));

    let table = material.table();
    let written = serde_json::to_value(&table).unwrap();
    assert_eq!(serde_json::from_value::<ResultsTable>(written.clone()).unwrap(), table);
    // A table of an earlier version has no directions.
    let mut old = written;
    old.as_object_mut().unwrap().remove("better");
    let old: ResultsTable = serde_json::from_value(old).unwrap();
    assert_eq!((old.direction("rmse"), table.direction("rmse")), (Direction::Lower, Direction::Higher));
}

#[test]
fn curves_have_a_panel_for_each_quantity() {
    let report = Written::new(&words());
    let plots = report.plots();
    assert!(plots.iter().all(|name| !name.starts_with("confusion-")), "{plots:?}");
    let learning: Vec<&String> = plots.iter().filter(|name| name.starts_with("learning-")).collect();
    assert_eq!(learning.len(), 4);
    let svg = report.file(&format!("plots/{}", learning[0]));
    assert_eq!(svg.matches("<polyline").count(), 3, "{svg}");
    let place =
        |word: &str| svg.find(&format!(">{word}</text>")).unwrap_or_else(|| panic!("{word} in {svg}"));
    assert!(place("tokens/s") < place("loss"), "the shown metrics come first");
    assert!(place("training") < place("tokens/s") && svg.contains(">validation</text>"));
    assert!(svg.contains("e-7</text>") && svg.contains(">52000</text>"), "{svg}");

    let csv = report.file("curves.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines[0], lines.len()), ("id,seed,epoch,tokens/s,train_loss,val_loss", 1 + 4 * 5 * 20));
    assert!(lines[1].contains(",0,1,5") && lines[1].ends_with(",0.0000003,"), "{}", lines[1]);
    assert!(report.page().contains("<a href=\"curves.csv\">"));

    // Without splits there is no legend, and more quantities than fit are named.
    let mut material = words();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            let values: BTreeMap<String, f64> = (0..9).map(|index| (format!("q{index}"), 0.5)).collect();
            result.history = vec![EpochRecord { epoch: 100, values: values.into() }];
        }
    }
    let report = Written::new(&material);
    assert!(report.page().contains("Not drawn: q6, q7, q8."));
    let svg = report.file(&format!("plots/learning-{}.svg", material.sweep.configurations[0].id));
    assert!(!svg.contains("no split") && svg.contains(">q5</text>") && !svg.contains(">q6</text>"), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 6, "a dot where there is one epoch");
}

#[test]
fn a_parameter_that_is_a_number_only_sometimes_is_the_axis_where_it_is_one() {
    let point = |warmup: Value, r2, baseline| (vec![("warmup", warmup)], r2, baseline);
    let material = material(vec![
        point(json!("none"), 0.7, true),
        point(json!(10), 0.7, false),
        point(json!(100.5), 0.8, false),
        point(Value::Null, 0.6, false),
    ]);
    let report = Written::new(&material);
    assert!(
        report
            .page()
            .contains("One configuration without a number for this parameter is in the table alone.")
    );
    let svg = report.file("plots/r2.svg");
    assert!(svg.contains(">warmup</text>") && svg.contains("r2 (higher is better)"), "{svg}");
    assert!(svg.contains("baseline: warmup=none"), "{svg}");
}

/// A name and a value that are markup everywhere.
const EVIL: &str = "</title><script>'&\"|$%_*`a`\\ [x](y) \u{202e}\u{1b}";

#[test]
fn odd_names_are_text_everywhere_and_long_ones_are_cut_in_charts() {
    const LONG: &str = "a_very_long_name_of_a_parameter_that_somebody_has_written_out_in_full_to_be_quite_sure_what_it_means";
    for numeric in [false, true] {
        let value = |index: u32| if numeric { json!(index) } else { json!(format!("{EVIL}{index}")) };
        let mut material = material(
            (0..3).map(|i| (vec![(LONG, value(i)), (EVIL, json!([EVIL, i]))], 0.5, i == 0)).collect(),
        );
        let metric = format!("{EVIL}{LONG}");
        material.sweep.report.metrics = vec![metric.clone(), "=1+1".to_owned()];
        material.sweep.name = "odd".parse().unwrap();
        for outcome in material.outcomes.values_mut() {
            if let TaskOutcome::Done(result) = outcome {
                result.metrics.insert(&metric, result.metrics["rmse"]);
                result.metrics.insert("=1+1", 2.0);
                result.commit = EVIL.to_owned();
                for record in &mut result.history {
                    record.values.insert(&metric, 0.5);
                }
            }
        }
        let report = Written::new(&material);
        let page = report.page();
        assert!(!page.contains("<script") && !page.contains(['\u{202e}', '\u{1b}']));
        assert!(page.contains("&lt;script&gt;&#39;&amp;&quot;|$%"), "{page}");
        for plot in report.plots() {
            let svg = report.file(&format!("plots/{plot}"));
            assert!(!svg.contains("<script") && !svg.contains(['\u{202e}', '\u{1b}']), "{plot}");
            // Beside the titles that are shown when pointed at, no text is wider than the chart.
            for shown in svg.split("<text ").skip(1).filter_map(|it| it.split('>').nth(1)) {
                let shown = shown.replace("&quot;", "q").replace("&#39;", "q").replace("&amp;", "&");
                assert!(
                    shown.replace("&lt;", "<").replace("&gt;", ">").chars().count() <= 68,
                    "{plot}: {shown}"
                );
            }
        }
        for file in ["results.md", "results.tex", "results.csv"] {
            assert!(!report.file(file).contains(['\u{202e}', '\u{1b}']), "{file}");
        }
        let markdown = report.file("results.md");
        assert!(
            !markdown.contains("<script") && markdown.contains("\\*\\`a\\`") && markdown.contains("\\[x]")
        );
        let bars: Vec<usize> = markdown
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.replace("\\\\", "").replace("\\|", "").matches('|').count())
            .collect();
        assert!(bars.len() == 5 && bars.iter().all(|count| *count == bars[0]), "{bars:?} {markdown}");
        let csv = report.file("results.csv");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert!(reader.headers().unwrap().iter().any(|name| name == "'=1+1_mean"), "{csv}");
        assert_eq!(reader.records().filter(Result::is_ok).count(), 3);
    }
}

#[test]
fn parameters_with_the_names_of_columns_have_columns_of_their_own() {
    let point = |n: i32, baseline| {
        (
            vec![
                ("n", json!(n)),
                ("r2_mean", json!("x")),
                ("state", Value::Null),
                ("a", json!(1)),
                ("a.b", json!(2)),
            ],
            0.5,
            baseline,
        )
    };
    let report = Written::new(&material(vec![point(1, true), point(2, false)]));
    report.page();
    let csv = report.file("results.csv");
    let heading = csv.lines().next().unwrap();
    assert!(
        heading.starts_with(
            "id,name,parameter.n,parameter.r2_mean,parameter.state,a,a.b,baseline,n,expected,state,r2_mean,"
        ),
        "{heading}"
    );
    let mut names: Vec<&str> = heading.split(',').collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    // A parameter is no path into the settings.
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    let row = &json["configurations"][1];
    assert_eq!((&row["values"]["n"], &row["values"]["state"]), (&json!(2), &Value::Null));
    assert!(row["settings"].as_object().unwrap().keys().eq(["program"]), "{}", row["settings"]);
}

#[test]
fn names_like_those_of_networks_mean_what_the_program_says() {
    let mut material = words();
    material.sweep.report.metrics = ["accuracy@5", "mae", "accuracy"].map(str::to_owned).to_vec();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics = [("accuracy@5", 93.0), ("mae", 0.5), ("accuracy", 71.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
            for record in &mut result.history {
                *record = EpochRecord::of_network(record.epoch, 1.0, 2.0, 71.0);
            }
        }
    }
    let page = Written::new(&material).page();
    assert!(page.contains("<th>accuracy@5</th>") && page.contains("93.000 ± 0.000"), "{page}");
    for wrong in ["equal sign", "absolute error", "modalit", "in brackets"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    let (heading, rows) = heading_and_rows(&material.table());
    assert_eq!(heading[4..], ["n", "accuracy@5", "mae", "accuracy", "accuracy@5 vs baseline"]);
    assert_eq!(rows[0][8], "baseline");
}

#[test]
fn a_program_without_curves_or_results_has_a_page_too() {
    let mut material = words();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.history.clear();
            result.commit.clear();
        }
    }
    let page = Written::new(&material).page();
    assert!(!page.contains("Learning curves") && !page.contains("commit of the program"));
    assert!(!page.contains("curves.csv"));
    material.outcomes.clear();
    let page = Written::new(&material).page();
    assert!(page.contains("0 of 20 results.") && page.contains("No seed has both"), "{page}");
    assert!(page.contains("Compared with the baseline ("));
}

#[test]
fn published_means_of_a_program_are_found_by_its_own_settings() {
    let mut material = words();
    let parse = |text: &str| Reference::parse_for(&material.sweep, text, "published.csv");
    let error = parse("lr,r2\n0.1,0.5\n").unwrap_err().to_string();
    assert!(
        error.ends_with("names settings of the program (augment, layers, optimizer, warmup) and metrics"),
        "{error}"
    );
    let text = "# A paper\noptimizer,layers,warmup,r2,val.nll\nadam,\"[64, 64]\",null,.79,\nsgd,\"[32]\",null,.1,1\n";
    material.reference = Some(parse(text).unwrap());
    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("<h2>Beside the published means</h2>") && page.contains("<td>.79</td>"), "{page}");
    assert!(report.file("plots/r2.svg").contains("published: .79"));
    assert!(
        report.file("results.md").contains("layers=[32] optimizer=sgd warmup=null) matches no configuration")
    );
}

#[test]
fn several_baselines_are_named_and_none_of_them_is_the_line_of_a_chart() {
    let mut material = words();
    for (index, with) in [(0, None), (1, None), (2, Some(0)), (3, Some(1))] {
        let with = with.map(|with: usize| material.sweep.configurations[with].id);
        let configuration = &mut material.sweep.configurations[index];
        (configuration.baseline, configuration.compared_with) = (with.is_none(), with);
    }
    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("Compared with 2 baselines, each configuration with the one"), "{page}");
    assert!(page.contains("<dt>baselines</dt>") && page.contains("<h2>Against the baseline</h2>"));
    assert_eq!(page.matches("<span class=\"muted\">baseline</span>").count(), 2);
    assert!(!report.file("plots/r2.svg").contains("baseline"));
    let markdown = report.file("results.md");
    assert!(markdown.contains("| r2 vs baseline |") && markdown.contains("| +0.1"), "{markdown}");
}
