//! The files that a task keeps, recomputed with plain arithmetic and loaded into another network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use colearn_core::{
    result::{NOT_KEPT, TaskResult, curve},
    settings::NetworkSettings,
    sweep::Kept,
};
use colearn_data_format::{DataFolder, Names, NewDataset, write};
use colearn_trainer::{
    device::TrainingDevice,
    model::{Batch, BiEflstm, BiEflstmShape, Columns, Model as _, Objective},
    training::TrainingSession,
};
use colearn_trainer_protocol::{Member, checkpoint::Store};
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::problem::{Recorder, dataset, dropping, member, mfn, regression};

fn keeping(seed: u64, change: impl FnOnce(&mut NetworkSettings)) -> Member {
    let change = |settings: &mut NetworkSettings| {
        settings.training.epochs = 3;
        change(settings);
    };
    Member { keep: Kept::ALL.into(), ..member(seed, change) }
}

/// Trains and returns the results, with the store of their files.
fn train(set: &NewDataset, members: &[Member], place: Option<&TempDir>) -> Vec<TaskResult> {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("small.safetensors"), set).unwrap();
    tch::set_num_threads(1);
    let store = place.map(|place| Store::open(place.path().to_str().unwrap()).unwrap());
    let device = TrainingDevice::find("cpu", 1).unwrap();
    let data = DataFolder::confined(folder.path().to_owned());
    let mut recorder = Recorder::default();
    let environment = [("own".to_owned(), "as given".to_owned())].into();
    TrainingSession::new(device, data, store).with_environment(environment).train(members, &mut recorder);
    assert!(recorder.failed.is_empty(), "{:?}", recorder.failed);
    members.iter().map(|member| recorder.finished.remove(&member.task).unwrap()).collect()
}

/// The bytes of a kept file.
fn kept(place: &TempDir, member: &Member, result: &TaskResult, name: &str) -> Vec<u8> {
    let artifact = result.artifacts.iter().find(|artifact| artifact.name == name).unwrap();
    assert_eq!(fs::canonicalize(place.path()).unwrap(), PathBuf::from(&artifact.location));
    Store::open(&artifact.location).unwrap().load_kept(member.task, artifact).unwrap()
}

/// The rows of a table without quotes, by the names of the columns.
fn rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

fn share_of_equal(rows: &[BTreeMap<String, String>], split: &str, modalities: &str) -> f64 {
    let own = rows.iter().filter(|row| row["split"] == split && row["modalities"] == modalities);
    let equal: Vec<f64> = own.map(|row| f64::from(row["truth"] == row["prediction"])).collect();
    equal.iter().sum::<f64>() / equal.len() as f64
}

#[test]
fn the_metrics_follow_from_the_predictions() {
    let mut set = dataset(0);
    let names = |what: &str| [121, 60, 300].map(|count| (0..count).map(|at| format!("{what}{at}")).collect());
    set.names = Names { ids: Some(names("id ")), groups: None };
    let both = vec![vec!["words".to_owned()], vec!["face".to_owned(), "words".to_owned()]];
    let members = [
        keeping(0, |settings| settings.evaluate = both.clone()),
        keeping(1, |settings| {
            settings.evaluate = both.clone();
            settings.unimodal = true;
        }),
    ];
    let place = TempDir::new().unwrap();
    let results = train(&set, &members, Some(&place));
    for (member, result) in members.iter().zip(&results) {
        let rows = rows(&kept(&place, member, result, "predictions.csv"));
        assert_eq!(share_of_equal(&rows, "test", "words"), result.metrics["accuracy"]);
        let valid = result.history[result.best_epoch as usize - 1].values[curve::VALID_ACCURACY];
        assert_eq!(share_of_equal(&rows, "valid", "words"), valid);
        assert_eq!(result.metrics["valid/accuracy"], valid);
        let unimodal = member.settings.network().unwrap().unimodal;
        let expected = if unimodal { 360 } else { 720 };
        assert_eq!(rows.len(), expected, "no row of what is never given, and none twice");
        if !unimodal {
            assert_eq!(share_of_equal(&rows, "test", "face+words"), result.metrics["accuracy@face+words"]);
        }
        let mut confusion = vec![vec![0; 3]; 3];
        for row in rows.iter().filter(|row| row["split"] == "test" && row["modalities"] == "words") {
            let class = |name: &str| result.classes.iter().position(|class| class == name).unwrap();
            confusion[class(&row["truth"])][class(&row["prediction"])] += 1;
            assert_eq!((&row["id"], row["group"].as_str()), (&format!("id {}", row["index"]), ""));
            let logit = |name: &str| row[&format!("logit.{name}")].parse::<f32>().unwrap();
            let best = ["a", "b", "c"].into_iter().max_by(|a, b| logit(a).total_cmp(&logit(b)));
            assert_eq!(best, Some(row["prediction"].as_str()));
        }
        assert_eq!(confusion, result.confusion);
        assert!(!result.environment.contains_key(NOT_KEPT));
    }
}

#[test]
fn numbers_are_kept_as_they_were_compared() {
    let mut set = regression();
    let groups = [121, 60, 300].map(|count| (0..count).map(|at| format!("\"{}\", x", at % 7)).collect());
    set.names = Names { ids: None, groups: Some(groups) };
    let member = keeping(0, mfn);
    let place = TempDir::new().unwrap();
    let result = train(&set, std::slice::from_ref(&member), Some(&place)).remove(0);
    let text = String::from_utf8(kept(&place, &member, &result, "predictions.csv")).unwrap();
    assert!(
        text.starts_with(
            "split,index,id,group,modalities,truth,prediction\nvalid,0,,\"\"\"0\"\", x\",words,"
        )
    );
    let errors = text.lines().skip(1).filter(|line| line.starts_with("test,")).map(|line| {
        let mut last = line.rsplit(',').map(|field| f64::from(field.parse::<f32>().unwrap()));
        (last.next().unwrap() - last.next().unwrap()).abs()
    });
    let errors: Vec<f64> = errors.collect();
    let mae = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(errors.len() == 300 && (mae - result.metrics["mae"]).abs() < 1e-12, "{mae}");
}

#[test]
fn the_weights_make_the_same_outputs_in_another_network() {
    let member = keeping(3, dropping(0.5));
    let place = TempDir::new().unwrap();
    let set = dataset(0);
    let result = train(&set, std::slice::from_ref(&member), Some(&place)).remove(0);
    let bytes = kept(&place, &member, &result, "weights.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let entries = header.metadata().as_ref().unwrap();
    assert_eq!((entries["seed"].as_str(), &entries["epoch"]), ("3", &result.best_epoch.to_string()));
    let settings: NetworkSettings = serde_json::from_str(&entries["settings"]).unwrap();
    assert_eq!(Some(&settings), member.settings.network());
    assert_eq!(entries["weights_digest"], result.weights_digest);

    let shape =
        BiEflstmShape { features: 12, hidden: 8, layers: 2, outputs: 3, objective: Objective::CrossEntropy };
    let network = BiEflstm::new(shape, &[99], &[0.0], (Kind::Float, Device::Cpu));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (layout, flat) in
        [(network.layout(), network.parameters()), (network.buffer_layout(), network.buffers())]
    {
        for entry in layout.entries() {
            let tensor = file.tensor(&entry.name).unwrap();
            let shape: Vec<i64> = tensor.shape().iter().map(|size| *size as i64).collect();
            assert_eq!(shape, entry.shape, "{}", entry.name);
            let values = Tensor::from_data_size(tensor.data(), &shape, Kind::Float);
            layout.view(flat, &entry.name).get(0).copy_(&values);
        }
    }
    let words = Tensor::from_slice(&set.test.features[0]).view([300, 6, 4]).transpose(0, 1);
    let features = Tensor::zeros([1, 6 * 300, 12], (Kind::Float, Device::Cpu));
    features.view([1, 6, 300, 12]).narrow(3, 0, 4).copy_(&words.unsqueeze(0));
    let labels = Tensor::zeros([1, 300], (Kind::Int64, Device::Cpu));
    let outputs = network.evaluate(&Batch {
        features,
        columns: Columns::alike(1, &[(0, 4)]),
        steps: 6,
        samples: 300,
        labels,
    });
    let table = rows(&kept(&place, &member, &result, "predictions.csv"));
    let test: Vec<_> = table.iter().filter(|row| row["split"] == "test").collect();
    assert_eq!(test.len(), 300);
    for (sample, row) in test.iter().enumerate() {
        for (class, name) in ["a", "b", "c"].iter().enumerate() {
            let found = outputs.double_value(&[0, sample as i64, class as i64]);
            let listed: f64 = row[&format!("logit.{name}")].parse().unwrap();
            assert!((found - listed).abs() < 1e-5, "{sample} {name}: {found} and {listed}");
        }
    }
}

/// The fixtures of `tests/parity` have the names of PyTorch's `state_dict`; only its counter of batches is left out there.
#[test]
fn the_weights_have_pytorchs_names() {
    let place = TempDir::new().unwrap();
    type Change = fn(&mut NetworkSettings);
    let cases: [(&str, Change); 2] = [("bi_eflstm", |_| {}), ("mfn", |settings| mfn(settings))];
    for (network, change) in cases {
        let member = keeping(0, change);
        let result = train(&dataset(0), std::slice::from_ref(&member), Some(&place)).remove(0);
        let bytes = kept(&place, &member, &result, "weights.safetensors");
        let mut names: BTreeSet<String> =
            SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect();
        let counted = names.remove("norm.num_batches_tracked");
        assert_eq!(counted, network == "bi_eflstm");
        let path = format!("{}/tests/parity/fixtures/{network}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let fixture = fs::read(path).unwrap();
        let fixture = SafeTensors::deserialize(&fixture).unwrap();
        let renamed = |name: &str| {
            let name = name.replace("language", "words").replace("audio", "voice").replace("video", "face");
            name.strip_prefix("start.")?.strip_suffix(".0").map(str::to_owned)
        };
        let expected: BTreeSet<String> = fixture.names().into_iter().filter_map(renamed).collect();
        assert_eq!(names, expected);
        if counted {
            let tensor = SafeTensors::deserialize(&bytes).unwrap();
            let tensor = tensor.tensor("norm.num_batches_tracked").unwrap();
            // 121 samples in batches of 10, the last one dropped.
            let batches = 12 * u64::from(result.best_epoch);
            assert_eq!((tensor.shape(), tensor.data()), (&[] as &[usize], &batches.to_le_bytes()[..]));
        }
    }
}

#[test]
fn the_same_task_keeps_the_same_bytes() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let member = keeping(0, |_| {});
    let digests = |place: &TempDir| -> Vec<String> {
        let result = train(&dataset(0), std::slice::from_ref(&member), Some(place)).remove(0);
        result.artifacts.iter().map(|artifact| artifact.digest.clone()).collect()
    };
    let found = digests(&first);
    assert_eq!(found.len(), 2);
    assert_eq!(found, digests(&second));
}

#[test]
fn a_result_is_not_lost_when_its_files_can_not_be_kept() {
    let member = keeping(0, |_| {});
    let place = tempfile::Builder::new().prefix(&"x".repeat(200)).tempdir().unwrap();
    // A file is where the folder of the task would be.
    fs::write(place.path().join("0000000000000001"), "in the way").unwrap();
    let result = train(&dataset(0), std::slice::from_ref(&member), Some(&place)).remove(0);
    assert!(result.metrics["accuracy"] > 0.3 && result.artifacts.is_empty());
    let why = &result.environment[NOT_KEPT];
    let expected =
        "predictions.csv: Not a directory (os error 20); weights.safetensors: Not a directory (os error 20)";
    assert_eq!(why, expected);
    assert!(result.environment["own"] == "as given", "and the rest");

    let nowhere = train(&dataset(0), std::slice::from_ref(&member), None).remove(0);
    assert!(nowhere.environment[NOT_KEPT].contains("there is no location for checkpoints"));
    let nothing = Member { keep: BTreeSet::new(), ..member };
    assert!(!train(&dataset(0), &[nothing], None).remove(0).environment.contains_key(NOT_KEPT));
}
