//! A small generated problem, and helpers of the tests.

use std::{collections::BTreeMap, path::Path};

use colearn_core::{
    failure::Failure,
    id::{SweepId, TaskId},
    result::{EpochRecord, TaskResult, curve, metric},
    settings::{
        BiEflstmSettings, MfnSettings, ModalityDraw, ModelSettings, NetworkSettings, Shuffle, TaskSettings,
        TrainingSettings,
    },
};
use colearn_data_format::{
    DataFolder, Description, Modality, Names, NewDataset, NewLabels, NewSplit, Task, write,
};
use colearn_trainer::{
    device::TrainingDevice,
    random::{Purpose, Stream},
    training::{Control, TrainingSession},
};
use colearn_trainer_protocol::{Event, Member};
use tempfile::TempDir;

const STEPS: usize = 6;
const DIMS: [usize; 3] = [4, 3, 5];

/// A split of three classes: `words` and `face` show the class with noise, `voice` is noise. If `other` is not 0,
/// everything except `words` is noise of another kind.
pub(crate) fn split(samples: usize, number: u64, other: u64) -> NewSplit {
    let labels: Vec<i64> = (0..samples as i64).map(|sample| sample % 3).collect();
    let features = |modality: usize| {
        let dim = DIMS[modality];
        let seed = if modality == 0 { number } else { number + 100 * other };
        let mut values = vec![0.0_f32; samples * STEPS * dim];
        Stream::new(seed, Purpose::Init(modality as u32), 0, 0).fill_uniform(1.0, &mut values);
        for (sample, &label) in labels.iter().enumerate() {
            for step in 0..STEPS {
                if modality != 1 && (modality == 0 || other == 0) {
                    values[(sample * STEPS + step) * dim + label as usize] += 0.6;
                }
            }
        }
        values
    };
    NewSplit { features: (0..3).map(features).collect(), labels: NewLabels::Classes(labels) }
}

pub(crate) fn dataset(other: u64) -> NewDataset {
    let names = ["words", "voice", "face"];
    let modality = |(name, dim): (&str, usize)| Modality { name: name.to_owned(), dim };
    NewDataset {
        modalities: names.into_iter().zip(DIMS).map(modality).collect(),
        steps: STEPS,
        task: Task::Classification { classes: ["a", "b", "c"].map(str::to_owned).to_vec() },
        description: Description::default(),
        names: Names::default(),
        train: split(121, 1, 0),
        valid: split(60, 2, other),
        // More than are evaluated at a time.
        test: split(300, 3, other),
    }
}

pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("small.safetensors"), &dataset(0)).unwrap();
    folder
}

pub(crate) fn member(seed: u64, change: impl FnOnce(&mut NetworkSettings)) -> Member {
    let mut settings = NetworkSettings {
        dataset: "small".to_owned(),
        primary: "words".to_owned(),
        unimodal: false,
        model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 8, layers: 2, dropout: 0.2 }),
        training: TrainingSettings {
            epochs: 12,
            batch_size: 10,
            learning_rate: 0.01,
            shuffle: Shuffle::Once,
            drop_last: true,
            modality_draw: ModalityDraw::Shared,
            ..TrainingSettings::default()
        },
        modality_dropout: BTreeMap::new(),
        evaluate: Vec::new(),
    };
    change(&mut settings);
    let configuration = settings.configuration_id();
    Member {
        task: TaskId { sweep: SweepId(1), configuration, seed },
        attempt: 1,
        settings: TaskSettings::Network(settings),
        checkpoint_every_epochs: 0,
        data_digest: String::new(),
        keep: Default::default(),
        name: String::new(),
        kept_in: String::new(),
    }
}

pub(crate) fn dropping(level: f64) -> impl FnOnce(&mut NetworkSettings) {
    move |settings| {
        settings.modality_dropout =
            [("voice", level), ("face", level)].map(|(m, p)| (m.to_owned(), p)).into();
    }
}

/// Five members that differ in everything in which members of a cohort may differ.
pub(crate) fn five() -> Vec<Member> {
    vec![
        member(0, |_| {}),
        member(1, dropping(0.5)),
        member(2, |settings| settings.unimodal = true),
        member(3, |settings| {
            settings.training.learning_rate = 0.003;
            settings.training.shuffle = Shuffle::EveryEpoch;
            settings.model = ModelSettings::BiEflstm(BiEflstmSettings { hidden: 8, layers: 2, dropout: 0.0 });
        }),
        member(4, |settings| {
            dropping(0.5)(settings);
            settings.training.modality_draw = ModalityDraw::Independent;
            settings.training.keep_by = ["face", "words"].map(str::to_owned).to_vec();
        }),
    ]
}

/// Collects the events; abandons tasks at a given call of `abandoned`, counted from 0.
#[derive(Default)]
pub(crate) struct Recorder {
    /// Data sets with their digests.
    pub(crate) opened: Vec<(String, String)>,
    pub(crate) epochs: BTreeMap<TaskId, Vec<EpochRecord>>,
    pub(crate) finished: BTreeMap<TaskId, TaskResult>,
    pub(crate) failed: BTreeMap<TaskId, Failure>,
    pub(crate) calls: usize,
    pub(crate) abandon: Option<(usize, TaskId)>,
}

impl Control for Recorder {
    fn emit(&mut self, event: Event) {
        match event {
            Event::Opened { data_set, digest } => self.opened.push((data_set, digest)),
            Event::Epoch { task, record, epochs } => {
                assert!(record.epoch <= epochs);
                self.epochs.entry(task).or_default().push(record);
            }
            Event::Finished { task, result } => assert!(self.finished.insert(task, *result).is_none()),
            Event::Failed { task, failure } => assert!(self.failed.insert(task, failure).is_none()),
            other => panic!("the loop does not say {other:?}"),
        }
    }

    fn abandoned(&mut self) -> Vec<TaskId> {
        self.calls += 1;
        self.abandon.filter(|(call, _)| *call == self.calls - 1).map(|(_, task)| task).into_iter().collect()
    }
}

pub(crate) fn session(folder: &Path) -> TrainingSession {
    tch::set_num_threads(1);
    TrainingSession::new(
        TrainingDevice::find("cpu", 1).unwrap(),
        DataFolder::confined(folder.to_owned()),
        None,
    )
}

pub(crate) fn train(members: &[Member]) -> Recorder {
    let folder = folder();
    let mut recorder = Recorder::default();
    session(folder.path()).train(members, &mut recorder);
    recorder
}

pub(crate) fn assert_same(a: &TaskResult, b: &TaskResult, what: &str) {
    for (x, y) in a.history.iter().zip(&b.history) {
        assert!(
            (x.values[curve::TRAIN_LOSS] - y.values[curve::TRAIN_LOSS]).abs() < 1e-3,
            "{what}: {x:?} and {y:?}"
        );
        assert!(
            (x.values[curve::VALID_LOSS] - y.values[curve::VALID_LOSS]).abs() < 1e-3,
            "{what}: {x:?} and {y:?}"
        );
    }
    assert!((a.metrics[metric::LOSS] - b.metrics[metric::LOSS]).abs() < 1e-3, "{what}");
    assert!((a.metrics[metric::ACCURACY] - b.metrics[metric::ACCURACY]).abs() < 0.01, "{what}");
}

/// A memory fusion network.
pub(crate) fn mfn(settings: &mut NetworkSettings) {
    settings.model = ModelSettings::Mfn(MfnSettings {
        hidden: [("words", 8), ("voice", 4), ("face", 6)].map(|(m, h)| (m.to_owned(), h)).into(),
        memory: 8,
        nn1: 8,
        nn1_dropout: 0.1,
        nn2: 6,
        nn2_dropout: 0.2,
        gamma1: 8,
        gamma1_dropout: 0.1,
        gamma2: 6,
        gamma2_dropout: 0.2,
        out: 8,
        out_dropout: 0.2,
    });
}

/// The same problem as a regression: a number in [-3, 3] for each class, and some numbers between.
pub(crate) fn regression() -> NewDataset {
    let mut set = dataset(0);
    set.task = Task::Regression;
    for split in [&mut set.train, &mut set.valid, &mut set.test] {
        let NewLabels::Classes(classes) = &split.labels else { panic!("the problem has classes") };
        let number = |(sample, class): (usize, &i64)| (class - 1) as f32 * 2.0 + (sample % 5) as f32 * 0.1;
        split.labels = NewLabels::Values(classes.iter().enumerate().map(number).collect());
    }
    set
}
