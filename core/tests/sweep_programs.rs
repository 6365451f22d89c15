//! Sweep files that run a program of the user's own.

use std::collections::BTreeSet;

use colearn_core::{
    id::{SweepId, TaskId},
    needs::TrainerKind,
    settings::{ProgramSettings, ResultSource, TaskSettings, placeholders::PlaceholderValues},
    sweep::{Parsed, Plan, Sweep},
};
use serde_json::{Value, json};

const FILE: &str = r#"name: my-net
program:
  command: [python3, train.py, "${args}"]
parameters:
  lr: {min: 1e-4, max: 1e-1, count: 4, scale: log}
  dropout: [0, 0.4, 0.8]
include: [{dropout: 0, augment: false}]
seeds: {count: 5}
report: {metrics: [accuracy, loss], baseline: {dropout: 0}, better: {loss: lower}}
"#;

fn parse(text: &str) -> Parsed {
    Sweep::parse_in(text, "x.yaml", "/home/me/net").unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    match Sweep::parse_in(text, "x.yaml", "/home/me/net") {
        Err(errors) => errors.to_string(),
        Ok(_) => panic!("no errors:\n{text}"),
    }
}

fn programs(sweep: &Sweep) -> Vec<&ProgramSettings> {
    sweep.configurations.iter().filter_map(|it| it.settings.program()).collect()
}

fn arguments(settings: &ProgramSettings, seed: u64) -> Vec<String> {
    let configuration = TaskSettings::Program(settings.clone()).configuration_id();
    let values = PlaceholderValues {
        parameters: &settings.parameters,
        task: TaskId { sweep: SweepId(1), configuration, seed },
        attempt: 1,
        checkpoint_dir: "/checkpoints",
    };
    settings
        .command
        .iter()
        .flat_map(|word| values.word(word).expect("the placeholders were checked"))
        .collect()
}

#[test]
fn a_grid_of_a_program_is_expanded_as_that_of_a_network() {
    let Parsed { sweep, warnings, .. } = parse(FILE);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!((sweep.configurations.len(), sweep.task_count()), (13, 65));
    let programs = programs(&sweep);
    assert_eq!(
        arguments(programs[1], 3),
        ["python3", "train.py", "--lr=0.0001", "--dropout=0.4", "--seed=3"]
    );
    assert_eq!(
        arguments(programs[12], 0),
        ["python3", "train.py", "--dropout=0", "--augment=false", "--seed=0"]
    );
    assert_eq!(programs[0].directory, "/home/me/net");
    assert_eq!(programs[0].metrics, ["accuracy", "loss"]);
    assert_eq!(sweep.needs.trainer, TrainerKind::Programs);
    let ids: BTreeSet<_> = sweep.configurations.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 13);
    let read: Sweep = serde_json::from_str(&serde_json::to_string(&sweep).unwrap()).unwrap();
    assert_eq!(read, sweep);
}

#[test]
fn a_configuration_is_compared_with_the_baseline_of_the_same_other_settings() {
    let sweep = parse(FILE).sweep;
    let lr = |index: usize| sweep.configurations[index].values.get("lr");
    for (index, configuration) in sweep.configurations.iter().enumerate() {
        let baseline = configuration.values["dropout"] == 0;
        assert_eq!(configuration.baseline, baseline);
        let with =
            sweep.configurations.iter().position(|other| Some(other.id) == configuration.compared_with);
        assert_eq!(with.is_none(), baseline);
        assert!(with.is_none_or(|with| lr(with) == lr(index) && sweep.configurations[with].baseline));
    }
    let one = parse(&FILE.replace("baseline: {dropout: 0}", "baseline: {dropout: 0, lr: 0.1}")).sweep;
    assert_eq!(one.configurations.iter().filter(|it| it.baseline).count(), 1);
    assert!(one.configurations.iter().all(|it| it.compared_with.is_none()));
    // Without a partner it is compared with nothing, which is said.
    let parsed = parse(&FILE.replace("include: [{dropout: 0,", "include: [{dropout: 0.4,"));
    assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
    assert!(
        parsed.warnings[0].message.contains("1 configuration without a baseline"),
        "{:?}",
        parsed.warnings
    );
}

#[test]
fn values_are_the_users_own() {
    let text = r#"name: x
program: {command: [./a.out, "${args}"], directory: sub/, environment: {MODE: 3, RATE: 0.50}, timeout: 2h, files: [a.out],
          result: 'acc=(?P<accuracy>\S+)', gpu: true, memory: 8GB, threads: 2, labels: [big]}
settings: {depth: 2.0, note: it's, layers: [64, [32, x]], warm: ~, flag: true}
seeds: [7]
report: {metrics: [accuracy]}
"#;
    let sweep = parse(text).sweep;
    let program = programs(&sweep)[0];
    assert_eq!(
        arguments(program, 7),
        ["./a.out", "--depth=2", "--note=it's", "--layers=[64,[32,\"x\"]]", "--flag=true", "--seed=7"]
    );
    assert_eq!(program.parameter("warm"), Some(&Value::Null));
    assert_eq!(program.directory, "/home/me/net/sub");
    assert_eq!(program.environment["MODE"], "3");
    assert_eq!(program.environment["RATE"], "0.50", "as it is written");
    assert_eq!(program.timeout.map(|it| it.as_secs()), Some(7200));
    assert_eq!(program.result, Some(ResultSource::Pattern(r"acc=(?P<accuracy>\S+)".to_owned())));
    let needs = &sweep.needs;
    assert_eq!((needs.gpu, needs.memory, needs.threads), (true, 8_000_000_000, 2));
    assert_eq!(needs.labels, ["big".to_owned()].into());
    let file = text.replace(r"'acc=(?P<accuracy>\S+)'", "{json: 'out/${task}.json'}");
    let json = parse(&file).sweep;
    assert_eq!(programs(&json)[0].result, Some(ResultSource::Json("out/${task}.json".to_owned())));
    assert_eq!(json.configurations[0].id, sweep.configurations[0].id, "how a result is read is no setting");
}

#[test]
fn a_number_has_one_form() {
    let id = |value: &str| {
        let file = FILE.replace("dropout: [0, 0.4, 0.8]", &format!("dropout: [{value}]"));
        let file = file
            .replace("baseline: {dropout: 0}, ", "")
            .replace("include: [{dropout: 0, augment: false}]\n", "");
        parse(&file).sweep.configurations[0].id
    };
    assert_eq!(id("1"), id("1.0"));
    assert_eq!(id("1e3"), id("1000"));
    assert_ne!(id("1"), id("\"1\""));
    assert_ne!(id("true"), id("\"true\""));
    assert!(
        errors(&FILE.replace("[0, 0.4, 0.8]", "[0, 0.4, 0.0]")).contains("`dropout` has the value 0 twice")
    );
}

#[test]
fn the_folder_of_a_program_must_be_known() {
    let error = Sweep::parse(FILE, "x.yaml").unwrap_err().to_string();
    assert!(error.contains("the folder in which the program runs is not known"), "{error}");
    let absolute = FILE.replace("program:\n", "program:\n  directory: /srv/net\n");
    let sweep = Sweep::parse(&absolute, "x.yaml").unwrap().sweep;
    assert_eq!(programs(&sweep)[0].directory, "/srv/net");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cases: &[(&str, &str, &str, &str)] = &[
        // What is replaced, by what, the message, and the line with the mark under it.
        (
            "program:\n",
            "program:\n  directori: [a]\n",
            "there is no key `directori` in `program`",
            "did you mean `directory`?",
        ),
        (
            "command: [python3, train.py, \"${args}\"]",
            "gpu: true",
            "`program.command` is missing",
            "such as `command:",
        ),
        ("[python3, train.py, \"${args}\"]", "python3 train.py", "must be a list of words", "for a shell:"),
        ("\"${args}\"", "\"${arg}\"", "there is no placeholder `${arg}`", "did you mean `args`?"),
        ("\"${args}\"", "\"${args\"", "no closing `}`", "close it"),
        (
            "\"${args}\"",
            "\"--rate=${param.learning}\"",
            "there is no parameter `learning`",
            "add `learning` to them",
        ),
        ("\"${args}\"", "\"${param.augment}\"", "there is no parameter `augment`", "add `augment` to them"),
        (
            "baseline: {dropout: 0},",
            "baseline: {droput: 0},",
            "`droput` is neither in `parameters` nor in `settings`",
            "did you mean `dropout`?",
        ),
        (
            "baseline: {dropout: 0},",
            "baseline: {dropout: 3},",
            "no configuration matches `report.baseline`",
            "add it to the grid",
        ),
        ("  dropout:", "  seed: [1, 2]\n  dropout:", "`seed` cannot be a setting", "${seed}"),
        ("  dropout:", "  a b: 1\n  dropout:", "`a b` cannot be the name of a setting", "letters"),
        ("[0, 0.4, 0.8]", "[{a: 1}]", "found a mapping", "a name of its own"),
        ("{min: 1e-4,", "{min: low,", "a range of `lr` needs numbers", "list its values"),
        ("{loss: lower}", "{loss: down}", "must be `higher` or `lower`, found `down`", "the lower value"),
        ("program:\n", "program:\n  labels: [a b]\n", "`a b` cannot be a label", "letters"),
        ("{loss: lower}", "{los: lower}", "`report.better` names `los`", "did you mean `loss`?"),
        ("metrics: [accuracy, loss], ", "", "`report.metrics` is missing", "name the metrics"),
        ("[accuracy, loss]", "[loss, loss]", "the metric `loss` is given twice", "the first one is here"),
        (
            "seeds:",
            "training: {epochs: 3}\nseeds:",
            "`training` is a setting of the built-in networks",
            "`settings`",
        ),
        (
            "seeds:",
            "checkpoint: {every_epochs: 3}\nseeds:",
            "`checkpoint` is for the built-in networks",
            "${checkpoint_dir}",
        ),
        ("seeds:", "keep: [weights]\nseeds:", "`keep` is for the built-in networks", "outside"),
        ("seeds:", "sedes: 3\nseeds:", "there is no key `sedes`", "did you mean `seeds`?"),
        (
            "program:\n",
            "program:\n  result: 'x=(.*)'\n",
            "`program.result` has no named group",
            "?P<accuracy>",
        ),
        (
            "program:\n",
            "program:\n  result: 'x=(?P<a'\n",
            "`program.result` is not a regular expression",
            "docs.rs/regex",
        ),
        ("program:\n", "program:\n  result: {json: out.json}\n", "in this one file", "${task}"),
        (
            "program:\n",
            "program:\n  result: 3\n",
            "must say where the result is, found the integer 3",
            "named groups",
        ),
        ("program:\n", "program:\n  timeout: 5\n", "`program.timeout` must be a duration", "units"),
        ("program:\n", "program:\n  timeout: 5ms\n", "`program.timeout` must be at least 1s", "5ms"),
        ("program:\n", "program:\n  memory: 8\n", "`program.memory` must be a size", "8GB"),
        ("program:\n", "program:\n  gpu: 2\n", "`program.gpu` must be true or false", "one GPU or none"),
        ("program:\n", "program:\n  environment: {COLEARN_TASK: x}\n", "is for colearn itself", "reserved"),
        (
            "program:\n",
            "program:\n  environment: {A-B: x}\n",
            "cannot be the name of an environment variable",
            "letters",
        ),
        ("program:\n", "program:\n  directory: ~/net\n", "which is no path", "write the path out"),
        ("program:\n", "program:\n  files: []\n", "`program.files` is empty", "files: []"),
    ];
    for (from, to, message, help) in cases {
        assert!(FILE.contains(from), "{from}");
        let shown = errors(&FILE.replacen(from, to, 1));
        assert!(shown.contains(message) && shown.contains(help), "{to}:\n{shown}");
        assert!(
            !shown.contains("error: ") || shown.matches("error: ").count() == 1,
            "one mistake, one error:\n{shown}"
        );
    }
    let shown = errors(&FILE.replace("\"${args}\"", "\"--x=${arg} ${seed}\""));
    assert!(shown.contains("3 |   command: [python3, train.py, \"--x=${arg} ${seed}\"]\n  |                                     ^^^^^^\n"), "{shown}");
    let networks = "name: x\ndataset: demo\nprimary: language\nsettings: {epochs: 3}\n";
    assert!(errors(networks).contains("`settings` is for the settings of a program"));
}

#[test]
fn what_is_probably_a_mistake_is_warned_of() {
    let warned = |text: &str| parse(text).warnings.iter().map(|it| it.message.clone()).collect::<Vec<_>>();
    let without = FILE.replace(", \"${args}\"", "");
    assert_eq!(warned(&without), ["the command does not pass the settings to the program"]);
    let by_environment = without.replace("program:\n", "program:\n  environment: {LR: '${param.lr}'}\n");
    assert_eq!(warned(&by_environment), ["the command does not pass the seed to the program"]);
    assert_eq!(warned(&by_environment.replace("count: 5", "count: 1")), [""; 0]);
    assert_eq!(warned(&by_environment.replace("'${param.lr}'", "'${param.lr} ${seed}'")), [""; 0]);
    let shell = |script: &str| FILE.replace("python3, train.py", &format!("sh, -c, '{script}'"));
    assert_eq!(warned(&shell("./train")), ["the shell's script does not use the arguments that follow it"]);
    assert_eq!(warned(&shell("./train \"$@\"")), [""; 0]);
    let pattern = FILE.replace("program:\n", "program:\n  result: 'accuracy=(?P<accuracy>\\S+)'\n");
    assert_eq!(warned(&pattern), ["`report.metrics` names `loss`, which the pattern does not have"]);
}

#[test]
fn the_plan_shows_the_first_command() {
    let plan = Plan::of(&parse(FILE), 3).to_string();
    assert!(plan.contains("first task: python3 train.py --lr=0.0001 --dropout=0 --seed=0\n"), "{plan}");
    assert!(plan.contains("report: accuracy (higher is better), loss (lower is better)"), "{plan}");
    assert!(plan.contains("program.directory  /home/me/net (set)"), "{plan}");
    let json = serde_json::to_value(Plan::of(&parse(FILE), 3)).unwrap();
    assert_eq!(
        json["first_command"],
        json!(["python3", "train.py", "--lr=0.0001", "--dropout=0", "--seed=0"])
    );
}
