//! Which configuration each one is compared with.

use colearn_core::sweep::{Configuration, Parsed, Sweep};

const HEAD: &str = "name: x\ndataset: d\nprimary: language\n";

fn parse(rest: &str) -> Parsed {
    Sweep::parse(&format!("{HEAD}{rest}\n"), "x.yaml").unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn configurations(rest: &str) -> Vec<Configuration> {
    parse(rest).sweep.configurations
}

#[test]
fn the_baseline_is_the_unimodal_configuration_or_the_one_that_is_named() {
    let baselines = |rest: &str| -> Vec<bool> { configurations(rest).iter().map(|c| c.baseline).collect() };
    assert_eq!(baselines("parameters: {model.hidden: [1, 2]}"), [false, false]);
    assert_eq!(baselines("parameters: {unimodal: [false, true]}"), [false, true]);
    let text = "parameters: {modality_dropout.a: [0, 0.5]}\ninclude: [{unimodal: true}]\nreport: {baseline: ";
    assert_eq!(
        baselines(&format!("{text}{{modality_dropout.a: 0, unimodal: false}}}}")),
        [true, false, false]
    );
    assert_eq!(baselines(&format!("{text}{{modality_dropout.a: 0.5}}}}")), [false, true, false]);
}

/// The swept values of each configuration with those of its baseline.
fn pairs(rest: &str) -> Vec<(String, Option<String>)> {
    let all = configurations(rest);
    let name = |it: &Configuration| {
        it.values.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(" ")
    };
    let with = |it: &Configuration| all.iter().find(|other| Some(other.id) == it.compared_with).map(name);
    all.iter().filter(|it| !it.baseline).map(|it| (name(it), with(it))).collect()
}

#[test]
fn a_network_is_compared_with_the_unimodal_one_that_agrees_in_every_other_setting() {
    // Another size, another primary modality, another data set.
    for swept in ["model.hidden: [1, 2]", "primary: [a, b]", "dataset: [d, e]"] {
        let (path, values) = swept.split_once(": ").unwrap();
        let values: Vec<String> = values
            .trim_matches(['[', ']'])
            .split(", ")
            .map(|value| match value.parse::<u32>() {
                Ok(number) => number.to_string(),
                Err(_) => format!("\"{value}\""),
            })
            .collect();
        let rest = format!("parameters: {{{swept}, unimodal: [false, true], modality_dropout.c: [0, 0.5]}}");
        for named in ["", "\nreport: {baseline: {unimodal: true}}"] {
            let found = pairs(&format!("{rest}{named}"));
            assert_eq!(found.len(), 4, "{found:?}");
            for (own, with) in &found {
                let value = values.iter().find(|value| own.contains(&format!("{path}={value}"))).unwrap();
                let with = with.as_ref().unwrap_or_else(|| panic!("{own} is compared with nothing"));
                assert!(
                    with.contains(&format!("{path}={value}")) && with.contains("unimodal=true"),
                    "{with}"
                );
            }
        }
    }
    // Details of modality dropout are no other settings: a unimodal network has no use for them.
    let found = pairs(
        "parameters: {modality_dropout.c: [0.5], training.modality_draw: [shared, independent]}\ninclude: [{unimodal: true}]",
    );
    assert!(found.len() == 2 && found.iter().all(|(_, with)| with.is_some()), "{found:?}");
}

#[test]
fn a_network_without_a_baseline_of_its_own_is_compared_with_nothing_unless_one_is_selected_for_all() {
    let rest = "parameters: {model.hidden: [1, 2]}\ninclude: [{unimodal: true, model.hidden: 1}]";
    let found = pairs(rest);
    assert_eq!(found[0].1.as_deref(), Some("model.hidden=1 unimodal=true"));
    assert_eq!(found[1], ("model.hidden=2".to_owned(), None));
    let warnings = parse(rest).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let help = warnings[0].help.as_deref().unwrap();
    assert!(help.contains("`include: [{unimodal: true, model.hidden: 2}]`"), "{help}");
    let selected = format!("{rest}\nreport: {{baseline: {{unimodal: true, model.hidden: 1}}}}");
    assert!(pairs(&selected).iter().all(|(_, with)| with.is_some()));
}
