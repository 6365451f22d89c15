//! What a plan says about configurations.

use colearn_core::sweep::{Plan, Sweep};

const SWEEP: &str = "\
name: x
dataset: d
primary: language
parameters: {modality_dropout.audio: [0, 0.4, 0.8]}
include: [{unimodal: true}]
report: {baseline: {unimodal: true}}
";

#[test]
fn configurations_are_listed_by_their_names() {
    let parsed = match Sweep::parse(SWEEP, "x.yaml") {
        Ok(parsed) => parsed,
        Err(diagnostics) => panic!("{diagnostics}"),
    };
    let plan = Plan::of(&parsed, 2);
    let text = plan.to_string();
    let listed =
        "\nconfigurations:\n  audio=0.0\n  audio=0.4\n  ... and 2 more\n  the baseline is unimodal\n";
    assert!(text.contains(listed), "{text}");
    for configuration in &parsed.sweep.configurations {
        assert!(!text.contains(&configuration.id.to_string()), "no bare ids: {text}");
    }
    let all = Plan::of(&parsed, 9).to_string();
    assert!(all.contains("\n  unimodal  (baseline)\n") && !all.contains("the baseline is"), "{all}");
    assert_eq!((plan.first[1].name.as_str(), plan.baseline_name.as_deref()), ("audio=0.4", Some("unimodal")));
    assert_eq!(plan.first[1].id, parsed.sweep.configurations[1].id, "scripts find the id");
}
