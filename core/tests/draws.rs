//! What a plan says about the draws of modality dropout.

use std::collections::BTreeMap;

use colearn_core::{
    settings::DataShape,
    sweep::{DrawStage, Plan, PlannedDraws, PlannedDropout, Sweep},
};

const HEAD: &str = "name: x\ndataset: d\nprimary: language\n";
const TWO: &str = "modality_dropout: {audio: 0.8, video: 0.8}\n";

fn plan(rest: &str) -> Plan {
    match Sweep::parse(&format!("{HEAD}{rest}\n"), "x.yaml") {
        Ok(parsed) => Plan::of(&parsed, 3),
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

fn draws(rest: &str) -> Vec<PlannedDropout> {
    plan(rest).draws.0
}

fn only(rest: &str) -> DrawStage {
    let draws = draws(rest);
    assert_eq!(draws.len(), 1);
    let [stage] = draws[0].stages.as_slice() else { panic!("{draws:?}") };
    stage.clone()
}

/// The outcomes of the only setting.
fn told(rest: &str) -> String {
    only(rest).to_string()
}

#[test]
fn each_draw_has_its_outcomes() {
    for (settings, expected) in [
        ("training: {modality_draw: shared}", "20 % all present, 80 % language alone"),
        ("training: {modality_draw: independent}", "4 % all present, 32 % mixed, 64 % language alone"),
        (
            "training: {modality_draw: independent, modality_part: features}",
            "4 % all whole, 32 % mixed, 64 % only language whole",
        ),
    ] {
        assert_eq!(told(&format!("{TWO}{settings}")), expected);
    }
    for (settings, expected) in [
        (
            "modality_dropout: {audio: 0.25, video: 0.25}\ntraining: {modality_draw: exclusive}",
            "50 % all present, 25 % without audio, 25 % without video",
        ),
        (
            "modality_dropout: {audio: 0.3, video: 0.6}\ntraining: {modality_draw: shared}",
            "40 % all present, 30 % without video, 30 % language alone",
        ),
        (
            "modality_dropout: {audio: 0.3, video: 1}\ntraining: {modality_draw: shared}",
            "70 % without video, 30 % language alone",
        ),
        (
            "modality_dropout: {audio: 0.3}\nparameters: {modality_dropout.video: [0]}",
            "70 % all present, 30 % without audio",
        ),
        ("modality_dropout: {audio: 1, video: 1}", "100 % language alone"),
        (
            "modality_dropout: {audio: 0.25, video: 0.75}\ntraining: {modality_draw: exclusive}",
            "25 % without audio, 75 % without video",
        ),
        (
            "modality_dropout: {a: 0.1, b: 0.2, c: 0.3, d: 0.4}\ntraining: {modality_draw: exclusive}",
            "100 % mixed",
        ),
        (
            "modality_dropout: {audio: 0.00001, video: 0.99999}\ntraining: {modality_draw: shared}",
            "< 0.01 % all present, > 99.99 % without video, < 0.01 % language alone",
        ),
        ("modality_dropout: {language: 0.2}", "80 % all present, 20 % without language"),
        ("unimodal: true\nmodality_dropout: {language: 0.2, audio: 0.5}", "80 % all present, 20 % nothing"),
    ] {
        assert_eq!(told(settings), expected, "{settings}");
    }
    assert_eq!(draws(""), []);
    assert_eq!(draws("unimodal: true\nmodality_dropout: {audio: 0.5}"), []);
}

/// Every subset of the dropped modalities, one by one.
#[test]
fn independent_draws_are_all_subsets() {
    let levels = [("audio", 0.35), ("gaze", 0.9), ("language", 0.15), ("pose", 0.5), ("video", 0.75)];
    let (mut all, mut alone, mut nothing, mut mixed) = (0.0, 0.0, 0.0, 0.0);
    for subset in 0..32_u32 {
        let dropped = |index: usize| subset >> index & 1 == 1;
        let each = levels.iter().enumerate();
        let share: f64 = each.map(|(index, (_, p))| if dropped(index) { *p } else { 1.0 - p }).product();
        match subset {
            0b00000 => all += share,
            0b11011 => alone += share,
            0b11111 => nothing += share,
            _ => mixed += share,
        }
    }
    let text: Vec<String> = levels.iter().map(|(name, p)| format!("{name}: {p}")).collect();
    let stage = only(&format!("modality_dropout: {{{}}}", text.join(", ")));
    let found: BTreeMap<String, f64> = stage.outcomes.into_iter().collect();
    for (what, expected) in
        [("all present", all), ("language alone", alone), ("nothing", nothing), ("mixed", mixed)]
    {
        assert!((found[what] - expected).abs() < 1e-11, "{what}: {} and not {expected}", found[what]);
    }
    assert_eq!((found.len(), stage.nothing_left), (4, found["nothing"]));
}

#[test]
fn annealed_levels_have_two_stages() {
    let shown = |rest: &str| plan(&format!("{TWO}{rest}")).draws.to_string();
    assert_eq!(
        shown("training: {modality_draw: shared, modality_anneal_epochs: 10}"),
        "modality dropout (shared draw, per batch):
  audio=0.8 video=0.8
    epoch 1: 100 % all present; epoch 11 on: 20 % all present, 80 % language alone
"
    );
    // Training ends before the annealing does.
    let text = shown("training: {modality_draw: shared, modality_anneal_epochs: 10, epochs: 6}");
    assert!(text.contains("; epoch 6: 60 % all present, 40 % language alone\n"), "{text}");
    let text = shown(
        "training: {modality_draw: shared, modality_anneal_epochs: 2, modality_anneal_start: 1, modality_anneal_end: 0.5}",
    );
    assert!(text.contains("epoch 1: 20 % all") && text.contains("epoch 3 on: 60 % all"), "{text}");
    let text = shown("training: {modality_draw: shared, modality_anneal_epochs: 10, epochs: 1}");
    assert!(text.ends_with("video=0.8  100 % all present\n"), "{text}");
}

#[test]
fn what_is_common_is_said_once() {
    assert_eq!(
        plan(
            "training: {modality_part: features, modality_fraction: 0.3}
parameters:
  modality_dropout.audio: [0, 0.25]
  training.modality_granularity: [sample, batch_step]
  training.modality_replacement: [zero, mean]
  model.hidden: [8, 16]"
        )
        .draws
        .to_string(),
        "modality dropout (independent draws, a drop takes each feature with probability 0.3):
  audio=0.25, per sample
    75 % all whole, 25 % only language whole
  audio=0.25, per sample, replaced by the mean
    75 % all whole, 25 % only language whole
  audio=0.25, per time step of a batch
    75 % all whole, 25 % only language whole
  audio=0.25, per time step of a batch, replaced by the mean
    75 % all whole, 25 % only language whole
"
    );
    let sizes = draws("modality_dropout: {audio: 0.5}\nparameters: {model.hidden: [8, 16, 32]}");
    assert_eq!(sizes.iter().map(|setting| setting.configurations).collect::<Vec<_>>(), [3]);
}

#[test]
fn of_many_settings_the_first_are_shown() {
    let plan = plan(
        "parameters: {modality_dropout.audio: {min: 0, max: 1, count: 41}, modality_dropout.video: [0.5]}",
    );
    let text = plan.draws.to_string();
    assert_eq!((plan.draws.0.len(), text.lines().count()), (41, 12));
    assert!(text.ends_with("\n  ... and 31 more\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert!(plan.to_string().contains(&format!("\n\n{text}\nconfigurations:")), "{plan}");
}

#[test]
fn that_everything_can_go_is_warned_of() {
    let warning = |rest: &str| {
        let text = plan(rest).draws.to_string();
        text.lines().find(|line| line.contains("warning")).map(|line| line.trim().to_owned())
    };
    let three = "modality_dropout: {language: 0.1, audio: 0.5, video: 0.5}\n";
    assert_eq!(
        warning(three).as_deref(),
        Some(
            "warning: every modality is dropped at once from 2.5 % of the batches (audio=0.5 language=0.1 video=0.5)"
        )
    );
    let of = |settings: &str| warning(&format!("{three}training: {{{settings}}}"));
    assert!(
        of("modality_draw: shared, modality_granularity: step")
            .unwrap()
            .contains("10 % of the time steps of samples")
    );
    assert_eq!(of("modality_part: features"), None, "a part remains");
    let exclusive = "modality_dropout: {language: 0.1, audio: 0.3}\ntraining: {modality_draw: exclusive}";
    assert_eq!(warning(exclusive), None);
    assert_eq!(warning(TWO), None);
    assert_eq!(warning("modality_dropout: {language: 0.5}"), None, "the data set has others");
    assert_eq!(warning("modality_dropout: {language: 0.5, audio: 0.5}\nevaluate: [[video]]"), None);
    let unimodal = warning("modality_dropout: {language: 0.5}\nunimodal: true").unwrap();
    assert!(unimodal.contains("50 % of the batches (language=0.5)"), "{unimodal}");
    let several = "modality_dropout: {audio: 0.5}\nparameters: {modality_dropout.language: [0.1, 0.2]}";
    let several = warning(several).unwrap();
    assert!(several.contains("up to 10 % of the batches (audio=0.5 language=0.2)"), "{several}");
}

#[test]
fn the_data_set_says_which_modalities_there_are() {
    let parsed = Sweep::parse(&format!("{HEAD}{TWO}"), "x.yaml").unwrap();
    let told = |modalities: &[&str]| {
        let shape = DataShape {
            name: "d".to_owned(),
            modalities: modalities.iter().map(|name| (*name).to_owned()).collect(),
            train_samples: 100,
        };
        PlannedDraws::of(&parsed.sweep, &[("d".to_owned(), shape)].into()).0[0].stages[0].to_string()
    };
    assert_eq!(told(&["language", "audio", "video"]), "4 % all present, 32 % mixed, 64 % language alone");
    assert_eq!(
        told(&["language", "audio", "video", "pose"]),
        "4 % all present, 64 % without audio and video, 32 % mixed"
    );
}
