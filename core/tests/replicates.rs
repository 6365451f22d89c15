//! `report.replicates`: folds, or any other parameter, as replicates beside the seeds.

use std::collections::HashMap;

use colearn_core::{
    failure::FailureReason,
    id::ConfigurationId,
    result::TaskResult,
    sweep::{Configuration, Parsed, Plan, Sweep},
    table::{ConfigurationRow, Replicate, ResultsTable, RowState, TaskOutcome},
};
use serde_json::{Value, json};

type Outcomes = HashMap<(ConfigurationId, u64), TaskOutcome>;

/// A program: 2 levels of dropout x 3 folds x 2 seeds.
const PROGRAM: &str = "name: x
program: {command: [train, \"${args}\"]}
parameters: {dropout: [0, 0.5], fold: [0, 1, 2]}
seeds: [0, 1]
report: {metrics: [score], baseline: {dropout: 0}, replicates: [fold]}
";

/// Networks: a level of dropout and the unimodal network x 2 folds x 2 seeds.
const NETWORKS: &str = "name: x
dataset: mine-fold0
primary: language
parameters: {dataset: [mine-fold0, mine-fold1], modality_dropout.audio: [0.5]}
include: [{unimodal: true, dataset: mine-fold0}, {unimodal: true, dataset: mine-fold1}]
seeds: [0, 1]
report: {metrics: [accuracy], baseline: {unimodal: true}, replicates: [dataset]}
";

fn parse(text: &str) -> Parsed {
    Sweep::parse_in(text, "x.yaml", "/home/me").unwrap_or_else(|errors| panic!("{errors}"))
}

fn quiet(text: &str) -> Sweep {
    let parsed = parse(text);
    assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    parsed.sweep
}

fn done(metric: &str, value: f64) -> TaskOutcome {
    TaskOutcome::Done(TaskResult { metrics: [(metric.to_owned(), value)].into(), ..TaskResult::default() })
}

/// Results of every task, from the values of its configuration and the seed.
fn outcomes(sweep: &Sweep, value: impl Fn(&dyn Fn(&str) -> Value, u64) -> f64) -> Outcomes {
    let metric = &sweep.report.metrics[0];
    let mut outcomes = HashMap::new();
    for configuration in &sweep.configurations {
        let of = |path: &str| configuration.values.get(path).cloned().unwrap_or_default();
        for seed in &sweep.seeds {
            outcomes.insert((configuration.id, *seed), done(metric, value(&of, *seed)));
        }
    }
    outcomes
}

/// The outcomes of `PROGRAM`: folds differ much more than levels of dropout.
fn of_program(sweep: &Sweep) -> Outcomes {
    outcomes(sweep, |of, seed| {
        let [dropout, fold] = ["dropout", "fold"].map(|path| of(path).as_f64().unwrap_or(f64::NAN));
        10.0 * fold + seed as f64 + dropout * (2.0 + fold)
    })
}

fn id(sweep: &Sweep, dropout: &Value, fold: u64) -> ConfigurationId {
    let is = |values: &std::collections::BTreeMap<String, Value>| {
        values.get("dropout") == Some(dropout) && values.get("fold") == Some(&json!(fold))
    };
    sweep.configurations.iter().find(|it| is(&it.values)).expect("a configuration of the sweep").id
}

fn close(left: Option<f64>, right: f64) {
    assert!(left.is_some_and(|left| (left - right).abs() < 1e-9), "{left:?} is not {right}");
}

#[test]
fn folds_and_seeds_are_the_replicates_of_one_row() {
    let sweep = quiet(PROGRAM);
    let table = ResultsTable::of(&sweep, &of_program(&sweep));
    assert_eq!(
        (&table.parameters, &table.replicates),
        (&vec!["dropout".to_owned()], &vec!["fold".to_owned()])
    );
    let [plain, half] = table.configurations.as_slice() else { panic!("{:?}", table.configurations) };
    for (row, dropout) in [(plain, json!(0)), (half, json!(0.5))] {
        assert_eq!((row.n, row.expected, row.state), (6, 6, RowState::Complete));
        assert_eq!(*row.values, [("dropout".to_owned(), dropout.clone())].into());
        assert_eq!(row.id, id(&sweep, &dropout, 0));
        let folds: Vec<String> = row.members.iter().map(|member| member.name()).collect();
        assert_eq!(folds, ["fold=0", "fold=1", "fold=2"]);
    }
    assert!(plain.baseline && plain.comparisons.is_empty() && !half.baseline);

    // 0, 1, 10, 11, 20, 21: mean 10.5, sum of squares 401.5 over 5 degrees of freedom.
    let summary = &plain.metrics["score"];
    close(Some(summary.mean), 10.5);
    close(summary.std, (401.5_f64 / 5.0).sqrt());
    // 0.5 x (2, 2, 3, 3, 4, 4) = 1, 1, 1.5, 1.5, 2, 2: mean 1.5, deviation sqrt(1 / 5), t(0.975, 5) = 2.570582.
    let compared = &half.comparisons["score"];
    assert_eq!(compared.pairs, 6);
    close(Some(compared.mean_difference), 1.5);
    let margin = 2.570_581_835_6 * (0.2_f64 / 6.0).sqrt();
    close(compared.ci_low, 1.5 - margin);
    close(compared.ci_high, 1.5 + margin);
    close(compared.effect_size, 1.5 / 0.2_f64.sqrt());
}

#[test]
fn a_missing_and_a_failed_replicate_are_no_pairs_and_are_named() {
    let sweep = quiet(PROGRAM);
    let mut outcomes = of_program(&sweep);
    outcomes.insert((id(&sweep, &json!(0.5), 2), 1), TaskOutcome::Failed(FailureReason::Crash));
    outcomes.remove(&(id(&sweep, &json!(0.5), 1), 0));
    outcomes.remove(&(id(&sweep, &json!(0), 0), 1));
    let table = ResultsTable::of(&sweep, &outcomes);
    let [plain, half] = table.configurations.as_slice() else { panic!("{:?}", table.configurations) };
    assert_eq!((plain.n, half.n, half.expected, half.state), (5, 4, 6, RowState::Partial));
    let failed = Replicate { of: "fold=2".to_owned(), seed: 1 };
    assert_eq!(half.failed_seeds, [(failed, FailureReason::Crash)].into());
    // (fold 0, seed 0), (1, 1) and (2, 0) are left: 1, 1.5, 2.
    let compared = &half.comparisons["score"];
    assert_eq!(compared.pairs, 3);
    close(Some(compared.mean_difference), 1.5);
    close(compared.effect_size, 1.5 / 0.5);

    let written = serde_json::to_value(&table).unwrap();
    assert_eq!(written["configurations"][1]["failed_seeds"], json!({"fold=2 seed=1": "crash"}));
    assert_eq!(serde_json::from_value::<ResultsTable>(written).unwrap(), table);
}

#[test]
fn each_row_of_a_program_has_the_baseline_row_of_the_same_other_settings() {
    let text = PROGRAM.replace("dropout: [0, 0.5],", "lr: [1, 2], dropout: [0, 0.5],");
    let sweep = quiet(&text);
    let outcomes = outcomes(&sweep, |of, seed| {
        let [lr, dropout, fold] = ["lr", "dropout", "fold"].map(|name| of(name).as_f64().unwrap());
        100.0 * lr + 10.0 * fold + seed as f64 + lr * dropout * (1.0 + 0.1 * seed as f64)
    });
    let table = ResultsTable::of(&sweep, &outcomes);
    let rows: Vec<(bool, Option<f64>)> = table
        .configurations
        .iter()
        .map(|row| (row.baseline, row.comparisons.get("score").map(|it| it.mean_difference)))
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!((rows[0], rows[2]), ((true, None), (true, None)));
    close(rows[1].1, 0.525);
    close(rows[3].1, 1.05);

    // A fold without its own baseline belongs to a row that has one.
    let without = text.replace("seeds:", "exclude: [{dropout: 0, lr: 1, fold: 1}]\nseeds:");
    let parsed = parse(&without);
    assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
    assert_eq!(parsed.warnings[0].message, "1 of 4 rows of the table lack some of the 3 values of fold");
    let table = ResultsTable::of(&parsed.sweep, &outcomes);
    let row = &table.configurations[1];
    assert_eq!((row.n, row.comparisons["score"].pairs), (6, 4));
    assert_eq!(table.configurations[0].expected, 4);
}

#[test]
fn networks_of_several_folds_have_one_unimodal_row_however_it_is_written() {
    let swept = NETWORKS
        .replace("modality_dropout.audio: [0.5]}", "unimodal: [false, true]}\nmodality_dropout: {audio: 0.5}")
        .replace(
            "include: [{unimodal: true, dataset: mine-fold0}, {unimodal: true, dataset: mine-fold1}]\n",
            "",
        );
    let implicit = NETWORKS.replace("baseline: {unimodal: true}, ", "");
    for text in [NETWORKS, &swept, &implicit] {
        let sweep = quiet(text);
        let outcomes = outcomes(&sweep, |of, seed| {
            let fold = if of("dataset") == "mine-fold1" { 0.25 } else { 0.0 };
            let unimodal = of("unimodal") == true;
            0.5 + fold + 0.01 * seed as f64 - if unimodal { 0.1 + 0.001 * seed as f64 } else { 0.0 }
        });
        let table = ResultsTable::of(&sweep, &outcomes);
        let (alone, both): (Vec<_>, Vec<_>) = table.configurations.iter().partition(|row| row.baseline);
        assert_eq!((alone.len(), both.len()), (1, 1), "{text}");
        assert_eq!((alone[0].n, both[0].n), (4, 4));
        assert!(alone[0].settings.network().unwrap().unimodal);
        let compared = &both[0].comparisons["accuracy"];
        assert_eq!(compared.pairs, 4);
        close(Some(compared.mean_difference), 0.1005);
        assert!(table.verdict(both[0]).is_some(), "co-learning is the only difference");
        assert_eq!(both[0].data_sets(), ["mine-fold0".to_owned(), "mine-fold1".to_owned()].into());
    }
    // Without replicates each fold is compared with its own baseline, and the settings that are named are no
    // replicates: another size is compared with nothing, unless it has a baseline of its own.
    let apart = quiet(&NETWORKS.replace(", replicates: [dataset]", ""));
    let with = |dataset: &str, unimodal: bool| {
        let is_it = |it: &&Configuration| {
            it.settings.network().is_some_and(|own| own.dataset == dataset && own.unimodal == unimodal)
        };
        apart.configurations.iter().find(is_it).unwrap()
    };
    for fold in ["mine-fold0", "mine-fold1"] {
        assert_eq!(with(fold, false).compared_with, Some(with(fold, true).id));
    }
}

#[test]
fn a_baseline_of_some_folds_only_is_warned_of() {
    let once = NETWORKS.replace(", {unimodal: true, dataset: mine-fold1}", "");
    let parsed = parse(&once);
    let [warning] = parsed.warnings.as_slice() else { panic!("{:?}", parsed.warnings) };
    assert_eq!(
        warning.to_string(),
        "warning: 1 of 2 rows of the table lack some of the 2 values of dataset
 --> x.yaml:7:77
  |
7 | report: {metrics: [accuracy], baseline: {unimodal: true}, replicates: [dataset]}
  |                                                                        ^^^^^^^
  = help: the first of them has 1: unimodal=true. An entry of `include` is one configuration: write one for each value of dataset"
            .replace(":77", &format!(":{}", once.lines().nth(6).unwrap().find("dataset").unwrap() + 1))
    );
}

#[test]
fn nothing_has_to_be_left_besides_the_replicates() {
    let text = "name: x\nprogram: {command: [train, \"${args}\"]}\nparameters: {fold: [0, 1], site: [a, b]}\nseeds: [0, 1]\nreport: {metrics: [score], replicates: [fold, site]}\n";
    let sweep = quiet(text);
    let table = ResultsTable::of(&sweep, &outcomes(&sweep, |of, _| of("fold").as_f64().unwrap()));
    let [only] = table.configurations.as_slice() else { panic!("{:?}", table.configurations) };
    assert_eq!((only.n, only.values.len(), table.parameters.len()), (8, 0, 0));
    close(Some(only.metrics["score"].mean), 0.5);
    let names: Vec<String> = only.members.iter().map(|member| member.name()).collect();
    assert_eq!(names, ["fold=0 site=a", "fold=0 site=b", "fold=1 site=a", "fold=1 site=b"]);
}

#[test]
fn values_that_look_alike_are_different_replicates() {
    let text = PROGRAM.replace("[0, 1, 2]", "[1, \"1\", \"a b\", \"x=y\", ~, \"\"]");
    let sweep = quiet(&text);
    let outcomes: Outcomes = sweep
        .configurations
        .iter()
        .map(|it| ((it.id, 0), TaskOutcome::Failed(FailureReason::Crash)))
        .collect();
    let table = ResultsTable::of(&sweep, &outcomes);
    let failed: Vec<String> = table.configurations[0].failed_seeds.keys().map(ToString::to_string).collect();
    assert_eq!(failed.len(), 6, "{failed:?}");
    assert!(failed.contains(&"fold=1 seed=0".to_owned()) && failed.contains(&"fold=\"1\" seed=0".to_owned()));
    for name in failed {
        assert_eq!(Replicate::try_from(name.clone()).unwrap().to_string(), name);
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let shown = |text: &str| Sweep::parse_in(text, "x.yaml", "/home/me").unwrap_err().to_string();
    assert_eq!(
        shown(&PROGRAM.replace("replicates: [fold]", "replicates: [flod]")),
        "error: `report.replicates` names `flod`, which is not in `parameters`
 --> x.yaml:5:65
  |
5 | report: {metrics: [score], baseline: {dropout: 0}, replicates: [flod]}
  |                                                                 ^^^^
  = help: did you mean `fold`?"
    );
    for (from, to, message, help) in [
        (
            "[fold]",
            "[shard]",
            "names `shard`, which is not in `parameters`",
            "sweep over it: `parameters: {shard: [...]}`",
        ),
        ("[fold]", "[fold, fold]", "`fold` is given twice in `report.replicates`", "the first one is here"),
        ("[fold]", "[fold, seed]", "the seeds are replicates without being named", "leave it out"),
        ("[fold]", "fold", "`report.replicates` must be a list, found the text `fold`", ""),
        ("[fold]", "[3]", "`report.replicates` must be a text", ""),
        (
            "{dropout: 0}",
            "{dropout: 0, fold: 1}",
            "`fold` is in `report.replicates`, so it cannot select the baseline",
            "leave it out",
        ),
        ("replicates", "replicate", "there is no key `replicate` in `report`", "did you mean `replicates`?"),
    ] {
        let text = shown(&PROGRAM.replacen(from, to, 1));
        assert!(text.contains(message) && text.contains(help), "{to}:\n{text}");
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
    }
    // A setting that is the same everywhere is no replicate either.
    let settings = PROGRAM.replace(", fold: [0, 1, 2]}", "}\nsettings: {fold: 1}");
    assert!(shown(&settings).contains("which is not in `parameters`"));
    let networks = NETWORKS.replace("replicates: [dataset]", "replicates: [datset]");
    assert!(shown(&networks).contains("did you mean `dataset`?"), "{}", shown(&networks));
}

#[test]
fn a_plan_says_how_many_replicates_a_row_has() {
    let plan = Plan::of(&parse(PROGRAM), 3);
    let text = plan.to_string();
    assert!(
        text.contains("\nthe table has 2 rows, each with 3 values of fold x 2 seeds = 6 replicates\n"),
        "{text}"
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["rows"], json!({"count": 2, "fewest": 3, "most": 3, "replicates": 6}));
    let uneven = Plan::of(&parse(&PROGRAM.replace("seeds:", "exclude: [{dropout: 0, fold: 1}]\nseeds:")), 3);
    let text = uneven.to_string();
    assert!(
        text.contains(
            "2 rows, the largest with 3 values of fold x 2 seeds = 6 replicates, the smallest with 4\n"
        ),
        "{text}"
    );
    let without = Plan::of(&parse(&PROGRAM.replace(", replicates: [fold]", ", confidence: 0.9")), 3);
    assert!(!without.to_string().contains("replicate"));
    assert_eq!(serde_json::to_value(&without).unwrap().get("rows"), None);
}

#[test]
fn sweeps_and_tables_without_replicates_are_written_as_before() {
    let text = PROGRAM.replace(", replicates: [fold]", "").replace("{dropout: 0}", "{dropout: 0, fold: 0}");
    let sweep = parse(&text).sweep;
    assert!(!serde_json::to_string(&sweep).unwrap().contains("replicates"));
    let mut outcomes = of_program(&sweep);
    let failed = sweep.configurations[1].id;
    for seed in sweep.seeds.clone() {
        outcomes.insert((failed, seed), TaskOutcome::Failed(FailureReason::Diverged));
    }
    let table = ResultsTable::of(&sweep, &outcomes);
    assert_eq!(table.configurations.len(), 6);
    let written = serde_json::to_string(&table).unwrap();
    assert!(written.contains(r#""failed_seeds":{"0":"diverged","1":"diverged"},"#), "{written}");
    // What was judged has a number of them; the table and its rows have none.
    let (rows, judged) = written.split_once("\"judged\":").unwrap();
    assert!(!rows.contains("replicates") && !rows.contains("members"), "{rows}");
    assert!(judged.contains("\"reason\":\"too_few_replicates\""), "{judged}");
    assert_eq!(serde_json::from_str::<ResultsTable>(&written).unwrap(), table);
    let keys = |row: &ConfigurationRow| {
        let Value::Object(fields) = serde_json::to_value(row).unwrap() else {
            unreachable!("a row is an object")
        };
        fields.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let mut keys = keys(&table.configurations[0]);
    keys.sort();
    assert_eq!(
        keys,
        [
            "baseline",
            "comparisons",
            "expected",
            "failed_seeds",
            "id",
            "metrics",
            "n",
            "name",
            "settings",
            "state",
            "values"
        ]
    );
    // More than ten seeds are in the order of numbers, as they were.
    let many = parse(&text.replace("seeds: [0, 1]", "seeds: [10, 9]")).sweep;
    let outcomes: Outcomes = [9, 10]
        .map(|seed| ((many.configurations[0].id, seed), TaskOutcome::Failed(FailureReason::Crash)))
        .into();
    let written = serde_json::to_string(&ResultsTable::of(&many, &outcomes)).unwrap();
    assert!(written.contains(r#""failed_seeds":{"9":"crash","10":"crash"}"#), "{written}");
}
