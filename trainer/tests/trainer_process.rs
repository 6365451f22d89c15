//! Tests the real child process through the protocol that the agent uses.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helpers of tests are not to clippy"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio},
};

use colearn_core::{
    failure::FailureReason,
    id::{ConfigurationId, SweepId, TaskId},
    settings::{
        BiEflstmSettings, ModalityDraw, ModelSettings, NetworkSettings, Shuffle, TaskSettings,
        TrainingSettings,
    },
};
use colearn_data_format::{Description, Modality, Names, NewDataset, NewLabels, NewSplit, Task, write};
use colearn_trainer_protocol::{Command, Devices, Event, Member};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let split = || NewSplit {
        features: vec![(0..40 * 3 * 2).map(|n| (n as f32).sin()).collect()],
        labels: NewLabels::Classes((0..40).map(|n| n % 2).collect()),
    };
    let set = NewDataset {
        modalities: vec![Modality { name: "words".to_owned(), dim: 2 }],
        steps: 3,
        task: Task::Classification { classes: vec!["a".to_owned(), "b".to_owned()] },
        description: Description::default(),
        names: Names::default(),
        train: split(),
        valid: split(),
        test: split(),
    };
    write(&folder.path().join("tiny.safetensors"), &set).unwrap();
    folder
}

struct Trainer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Trainer {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, options: &[&str]) -> Self {
        let mut child = Process::new(env!("CARGO_BIN_EXE_colearn-trainer"))
            .args(["train", "--device", "cpu", "--threads", "1", "--data-dir"])
            .arg(folder)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut trainer = Self { child, input, output };
        assert_eq!(trainer.event(), Some(Event::Ready { device: "cpu x1".to_owned() }));
        trainer
    }

    fn write(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn tell(&mut self, command: &Command) {
        self.write(&serde_json::to_string(command).unwrap());
    }

    /// The next event; `None` when the process has closed its output.
    fn event(&mut self) -> Option<Event> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match serde_json::from_str(&line).unwrap() {
                // A word for the worker, which is tested with the training loop.
                Event::Opened { .. } => {}
                event => return Some(event),
            }
        }
    }

    fn exit_code(mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().unwrap().code()
    }
}

fn member(seed: u64, epochs: u32) -> Member {
    Member {
        task: TaskId { sweep: SweepId(1), configuration: ConfigurationId(1), seed },
        attempt: 1,
        settings: TaskSettings::Network(NetworkSettings {
            dataset: "tiny".to_owned(),
            primary: "words".to_owned(),
            unimodal: false,
            model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 4, layers: 2, dropout: 0.5 }),
            training: TrainingSettings {
                epochs,
                batch_size: 8,
                learning_rate: 0.01,
                shuffle: Shuffle::EveryEpoch,
                drop_last: false,
                modality_draw: ModalityDraw::Shared,
                ..TrainingSettings::default()
            },
            modality_dropout: Default::default(),
            evaluate: Vec::new(),
        }),
        checkpoint_every_epochs: 0,
        data_digest: String::new(),
        keep: Default::default(),
        name: String::new(),
        kept_in: String::new(),
    }
}

#[test]
fn it_trains_cohort_after_cohort_and_ends_with_its_input() {
    let folder = folder();
    let mut trainer = Trainer::start(folder.path());
    for _ in 0..2 {
        trainer.tell(&Command::Train { members: vec![member(1, 3), member(2, 3)] });
        let events: Vec<Event> =
            std::iter::from_fn(|| trainer.event().filter(|event| *event != Event::Idle)).collect();
        let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
        assert_eq!(count(|event| matches!(event, Event::Epoch { .. })), 6, "{events:?}");
        assert_eq!(count(|event| matches!(event, Event::Finished { .. })), 2, "{events:?}");
        assert_eq!(events.len(), 8);
    }
    // This command is late, which is no error.
    trainer.tell(&Command::Abandon { tasks: vec![member(1, 3).task] });
    assert_eq!(trainer.exit_code(), Some(0));
}

#[test]
fn abandoned_cohorts_end() {
    let folder = folder();
    let mut trainer = Trainer::start(folder.path());
    let members = vec![member(1, 30_000), member(2, 30_000)];
    let tasks = members.iter().map(|member| member.task).collect();
    trainer.tell(&Command::Train { members });
    assert!(matches!(trainer.event(), Some(Event::Epoch { .. })));
    trainer.tell(&Command::Abandon { tasks });
    loop {
        match trainer.event() {
            Some(Event::Epoch { .. }) => {}
            other => break assert_eq!(other, Some(Event::Idle)),
        }
    }
    trainer.tell(&Command::Train { members: vec![member(3, 1)] });
    assert!(matches!(trainer.event(), Some(Event::Epoch { .. })));
    assert!(matches!(trainer.event(), Some(Event::Finished { .. })));
    assert_eq!(trainer.event(), Some(Event::Idle));
    assert_eq!(trainer.exit_code(), Some(0));
}

#[test]
fn a_result_says_what_it_was_computed_with() {
    let folder = folder();
    let mut trainer = Trainer::start(folder.path());
    trainer.tell(&Command::Train { members: vec![member(1, 1)] });
    assert!(matches!(trainer.event(), Some(Event::Epoch { .. })));
    let Some(Event::Finished { result, .. }) = trainer.event() else { panic!("it does not finish") };
    let of = |name: &str| result.environment.get(name).map(String::as_str);
    assert_eq!((of("threads"), of("device_model")), (Some("1"), of("host_cpu")));
    for name in ["libtorch", "os", "colearn"] {
        assert!(of(name).is_some_and(|value| !value.is_empty()), "{name}: {:?}", result.environment);
    }
    assert_eq!(of("gpu_driver"), None);
}

#[test]
fn it_does_not_outlive_its_input_while_it_trains() {
    let folder = folder();
    let mut trainer = Trainer::start(folder.path());
    trainer.tell(&Command::Train { members: vec![member(1, 30_000)] });
    assert!(matches!(trainer.event(), Some(Event::Epoch { .. })));
    assert_eq!(trainer.exit_code(), Some(0));
}

/// Anybody who reaches the coordinator can send tasks to a worker.
#[test]
fn data_sets_outside_the_data_folder_are_opened_only_where_that_is_allowed() {
    let (data, elsewhere) = (folder(), folder());
    let naming = |name: &str| {
        let mut member = member(1, 1);
        member.settings.network_mut().unwrap().dataset = elsewhere.path().join(name).display().to_string();
        Command::Train { members: vec![member] }
    };
    let mut trainer = Trainer::start(data.path());
    for name in ["tiny.safetensors", "nothing.safetensors"] {
        trainer.tell(&naming(name));
        let Some(Event::Failed { failure, .. }) = trainer.event() else { panic!("{name} was trained on") };
        assert_eq!(failure.reason, FailureReason::Data);
        let named = elsewhere.path().join(name);
        let expected = format!("data set `{}` is outside this worker's data folder: ", named.display());
        assert!(failure.message.starts_with(&expected), "{}", failure.message);
        assert_eq!(trainer.event(), Some(Event::Idle));
    }
    let mut trainer = Trainer::start_with(data.path(), &["--allow-data-outside"]);
    trainer.tell(&naming("tiny.safetensors"));
    assert!(matches!(trainer.event(), Some(Event::Epoch { .. })));
    assert!(matches!(trainer.event(), Some(Event::Finished { .. })));
}

#[test]
fn nonsense_ends_it() {
    let folder = folder();
    let mut trainer = Trainer::start(folder.path());
    trainer.write("train!");
    assert_eq!(trainer.event(), None);
    assert_eq!(trainer.child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_device_that_is_not_there_is_said() {
    let output = Process::new(env!("CARGO_BIN_EXE_colearn-trainer"))
        .args(["train", "--device", "cuda:999", "--threads", "1", "--data-dir", "."])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("`cuda:999` can not be used"));
}

/// A worker passes its environment on to its trainers.
#[test]
fn the_workers_environment_does_not_disturb_a_trainer() {
    let output = Process::new(env!("CARGO_BIN_EXE_colearn-trainer"))
        .args(["train", "--data-dir", ".", "--device", "cpu", "--threads", "1"])
        .envs([
            ("COLEARN_SLOTS", "many"),
            ("COLEARN_DATA_DIR", "/nowhere"),
            ("COLEARN_CHECKPOINTS", "gs://bucket"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The libtorch of a checkout has no CUDA unless it was requested. Even with CUDA this host may have no GPU.
#[test]
fn what_libtorch_can_do_is_one_line_of_json() {
    let output = Process::new(env!("CARGO_BIN_EXE_colearn-trainer")).arg("devices").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let devices: Devices = serde_json::from_str(&text).unwrap();
    assert_eq!(devices.libtorch, "2.11.0");
    assert!(devices.cuda_library.is_some() || (devices.cuda_error.is_none() && devices.cuda_devices == 0));
}
