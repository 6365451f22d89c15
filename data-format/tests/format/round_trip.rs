//! A written data set is read back equal, by this crate and by the safetensors library.

use std::fs;

use colearn_data_format::generate::{DemoOptions, demo};
use colearn_data_format::{
    Dataset, Description, Modality, Names, NewDataset, NewLabels, NewSplit, Split, Task, Warning, write,
};
use proptest::prelude::*;
use safetensors::SafeTensors;

use crate::support::{assert_same, change_file, small, take_apart, written};

#[test]
fn the_library_reads_what_we_write() {
    let (_folder, path) = written();
    let bytes = fs::read(&path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), 9);
    assert_eq!(read.tensor("train/language").unwrap().shape(), [4, 5, 3]);
    assert_eq!(read.tensor("valid/labels").unwrap().data(), [1_i64, 1].map(i64::to_le_bytes).concat());
    assert_eq!(take_apart(&bytes).0.len() % 8, 0, "tensors lie where 8-byte numbers may");
}

#[test]
fn we_read_what_the_library_writes() {
    let (_folder, path) = written();
    change_file(&path, |bytes| {
        let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let read = SafeTensors::deserialize(bytes).unwrap();
        safetensors::serialize(read.tensors(), metadata.metadata().clone()).unwrap()
    });
    assert_same(&Dataset::open(&path).unwrap(), &small());
}

#[test]
fn the_same_set_has_the_same_bytes_and_the_digest_is_their_sha256() {
    let ((_a, a), (_b, b)) = (written(), written());
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    // The digest that `sha256sum` prints.
    let expected = "47f0215c677f66bb37dff870eb96e53c36b7f206c6718c88df0720212c166566";
    assert_eq!(Dataset::open(&a).unwrap().digest(), expected);
}

#[test]
fn names_of_samples_are_kept_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    let lists = |counts: [usize; 3]| counts.map(|count| (0..count).map(|at| format!("ü \"{at}\"")).collect());
    let mut set = small();
    set.names = Names { ids: Some(lists([4, 2, 3])), groups: Some(lists([4, 2, 3])) };
    write(&path, &set).unwrap();
    assert_eq!(Dataset::open(&path).unwrap().names(), &set.names);
    set.names.groups = Some(lists([4, 2, 2]));
    let error = write(&path, &set).unwrap_err().to_string();
    assert!(error.contains("groups") && error.contains("has 2 names for the 3 test samples"), "{error}");
    set.names = Names {
        ids: Some([vec!["x".repeat(5 << 20); 4], vec![String::new(); 2], vec![String::new(); 3]]),
        groups: None,
    };
    let error = write(&path, &set).unwrap_err().to_string();
    assert!(error.contains("leave the names of the samples out"), "{error}");
}

#[test]
fn a_data_set_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let (_folder, path) = written();
    shared(&Dataset::open(&path).unwrap());
}

#[test]
fn an_open_set_outlives_the_replacement_of_its_file() {
    let (_folder, path) = written();
    let opened = Dataset::open(&path).unwrap();
    let mut other = small();
    other.train.features[0].fill(7.0);
    write(&path, &other).unwrap();
    assert_same(&opened, &small());
    assert_same(&Dataset::open(&path).unwrap(), &other);
}

#[test]
fn a_class_that_is_tested_but_not_trained_is_a_warning() {
    let mut set = small();
    set.train.labels = NewLabels::Classes(vec![0, 2, 2, 0]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    write(&path, &set).unwrap();
    let warning = |split, samples| Warning::ClassNotInTraining { class: "b".to_owned(), split, samples };
    assert_eq!(Dataset::open(&path).unwrap().warnings(), [warning(Split::Valid, 2), warning(Split::Test, 1)]);
}

#[test]
fn the_demo_set_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/demo.safetensors");
    let set = demo(&DemoOptions::default()).unwrap();
    write(&path, &set).unwrap();
    let opened = Dataset::open(&path).unwrap();
    assert_same(&opened, &set);
    assert_eq!(opened.warnings(), []);
    assert!(opened.description().source.starts_with("generated"));
}

/// Small data sets of every kind.
fn any_dataset() -> impl Strategy<Value = NewDataset> {
    let counts = prop::array::uniform3(1usize..5);
    let sizes = (1usize..6, prop::collection::vec(1usize..5, 1..4), counts, 2usize..5);
    (sizes, any::<bool>(), any::<u32>(), ".{0,12}").prop_map(
        |((steps, dims, counts, classes), regression, salt, text)| {
            // Finite values of every magnitude.
            let value = |i: usize| {
                let bits = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(salt);
                Some(f32::from_bits(bits)).filter(|v| v.is_finite()).unwrap_or(-0.0)
            };
            let class = |i: usize| ((i + salt as usize) % classes) as i64;
            let part = |samples: usize| NewSplit {
                features: dims.iter().map(|dim| (0..samples * steps * dim).map(value).collect()).collect(),
                labels: if regression {
                    NewLabels::Values((0..samples).map(value).collect())
                } else {
                    NewLabels::Classes((0..samples).map(class).collect())
                },
            };
            let task = if regression {
                Task::Regression
            } else {
                Task::Classification { classes: (0..classes).map(|i| format!("{i}{text}")).collect() }
            };
            let modality = |(i, &dim)| Modality { name: format!("m_{i}-X"), dim };
            NewDataset {
                modalities: dims.iter().enumerate().map(modality).collect(),
                steps,
                task,
                description: Description { source: text.clone(), licence: String::new(), preparation: text },
                names: Names::default(),
                train: part(counts[0]),
                valid: part(counts[1]),
                test: part(counts[2]),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_opened(set in any_dataset()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.safetensors");
        write(&path, &set).unwrap();
        assert_same(&Dataset::open(&path).unwrap(), &set);
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
