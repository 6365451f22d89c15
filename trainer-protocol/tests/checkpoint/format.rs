//! Tests of the format.

use std::collections::HashMap;

use colearn_core::id::{ConfigurationId, SweepId, TaskId};
use colearn_trainer_protocol::checkpoint::{
    Checkpoint, CheckpointError, Expected, MAX_HEADER_BYTES, decode, encode,
};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use crate::{checkpoint, expected, same};

#[test]
fn every_bit_survives() {
    let written = checkpoint(3, 2, 7);
    let read = decode(&encode(&written), &expected(3)).unwrap();
    assert!(same(&written, &read), "{read:?}");
    assert_eq!(read.tensors["parameters"][0].to_bits(), 0x7fa1_2345);
}

#[test]
fn a_long_history_fits() {
    let record = r#"{"epoch":100000,"train_loss":0.12345678901234567,"valid_loss":0.12345678901234567,"valid_accuracy":0.12345678901234567},"#;
    let mut written = checkpoint(3, 1, 100_000);
    written.progress = record.repeat(100_000);
    let bytes = encode(&written);
    assert!((bytes.len() as u64) < MAX_HEADER_BYTES / 2, "{}", bytes.len());
    assert!(same(&written, &decode(&bytes, &expected(3)).unwrap()));
}

#[test]
fn a_checkpoint_of_something_else_is_refused_by_what_differs() {
    let bytes = encode(&checkpoint(3, 1, 7));
    let refusal = |expected: Expected| decode(&bytes, &expected).unwrap_err().to_string();
    let foreign = "it belongs to another task: `26/000000000000feed/3` instead of `26/000000000000feed/4`";
    assert_eq!(refusal(expected(4)), foreign);
    let other = |change: fn(&mut Expected)| {
        let mut expected = expected(3);
        change(&mut expected);
        refusal(expected)
    };
    let sweep = |e: &mut Expected| e.task = TaskId { sweep: SweepId(1), ..e.task };
    let configuration = |e: &mut Expected| e.task = TaskId { configuration: ConfigurationId(1), ..e.task };
    assert!(other(sweep).starts_with("it belongs to another task"));
    assert!(other(configuration).starts_with("it belongs to another task"));
    assert!(
        other(|e| e.data_digest = "00".to_owned()).starts_with("it belongs to another data set: `dadada")
    );
    assert!(other(|e| e.layout_digest = "00".to_owned()).starts_with("it belongs to another layout"));
}

#[test]
fn tensors_must_be_exactly_those_expected() {
    let bytes = encode(&checkpoint(3, 1, 7));
    let refusal = |change: fn(&mut Expected)| {
        let mut expected = expected(3);
        change(&mut expected);
        decode(&bytes, &expected).unwrap_err()
    };
    let missing = refusal(|e| {
        e.tensors.insert("adam.square".to_owned(), 5);
    });
    assert_eq!(missing, CheckpointError::MissingTensor("adam.square".to_owned()));
    let extra = refusal(|e| {
        e.tensors.remove("buffers");
    });
    assert_eq!(extra, CheckpointError::ExtraTensor("buffers".to_owned()));
    let longer = refusal(|e| {
        e.tensors.insert("parameters".to_owned(), 6);
    });
    assert_eq!(longer.to_string(), "the tensor `parameters` is F32 [5] instead of F32 [6]");
}

#[test]
fn what_is_cut_off_or_no_checkpoint_says_so() {
    let bytes = encode(&checkpoint(3, 1, 7));
    for end in [0, 7, 8, 100, bytes.len() - 1] {
        let error = decode(&bytes[..end], &expected(3)).unwrap_err();
        assert!(matches!(error, CheckpointError::NotSafetensors(_)), "{end}: {error}");
    }
    let other = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
    let error = decode(&other, &expected(3)).unwrap_err();
    assert_eq!(error.to_string(), "it is not a checkpoint: its header has no entry `format`");
}

#[test]
fn a_changed_value_is_noticed() {
    let mut bytes = encode(&checkpoint(3, 1, 7));
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(decode(&bytes, &expected(3)), Err(CheckpointError::Corrupt));
    let mut longer = checkpoint(3, 1, 7);
    longer.progress.push('x');
    let bytes =
        rewritten(&encode(&longer), |texts| drop(texts.insert("progress".to_owned(), "{}".to_owned())));
    assert_eq!(decode(&bytes, &expected(3)), Err(CheckpointError::Corrupt));
}

#[test]
fn another_version_is_named() {
    let bytes = encode(&checkpoint(3, 1, 7));
    let of =
        |format: &str| rewritten(&bytes, |texts| drop(texts.insert("format".to_owned(), format.to_owned())));
    for found in [0, 2] {
        let error = decode(&of(&format!("colearn-checkpoint/{found}")), &expected(3)).unwrap_err();
        assert_eq!(error, CheckpointError::Version { found, known: 1 });
    }
    let error = decode(&of("colearn-dataset/1"), &expected(3)).unwrap_err();
    assert_eq!(error.to_string(), "it is not a checkpoint: its format is `colearn-dataset/1`");
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let largest = expected(3).largest();
    let error = decode(&vec![0; usize::try_from(largest).unwrap() + 1], &expected(3)).unwrap_err();
    assert_eq!(error, CheckpointError::Oversized { found: largest + 1, largest });
    let header = [u64::MAX.to_le_bytes(), [0; 8]].concat();
    assert!(matches!(decode(&header, &expected(3)), Err(CheckpointError::NotSafetensors(_))));
    // Sizes whose sum overflows.
    let json = format!(r#"{{"a":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, usize::MAX / 8);
    let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    assert!(matches!(decode(&bytes, &expected(3)), Err(CheckpointError::NotSafetensors(_))));
}

/// The digest matches, as in a file that another program wrote on purpose.
#[test]
fn floats_of_another_type_are_refused() {
    let bytes = encode(&checkpoint(3, 1, 7));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut texts = metadata.metadata().clone().unwrap();
    texts.remove("digest");
    let mut tensors = file.tensors();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, tensor) in &mut tensors {
        if name == "parameters" {
            *tensor = TensorView::new(Dtype::I32, vec![5], tensor.data()).unwrap();
        }
    }
    let mut sorted: Vec<_> = texts.iter().collect();
    sorted.sort();
    let mut hash = Sha256::new();
    hash.update((sorted.len() as u64).to_le_bytes());
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (key, value) in sorted {
        field(key.as_bytes());
        field(value.as_bytes());
    }
    for (name, tensor) in &tensors {
        field(name.as_bytes());
        field(format!("{:?} {:?}", tensor.dtype(), tensor.shape()).as_bytes());
        field(tensor.data());
    }
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    texts.insert("digest".to_owned(), digest);
    let bytes = safetensors::serialize(tensors, Some(texts)).unwrap();
    let error = decode(&bytes, &expected(3)).unwrap_err();
    assert_eq!(error.to_string(), "the tensor `parameters` is I32 [5] instead of F32 [5]");
}

/// The same file with other texts in its header.
fn rewritten(bytes: &[u8], change: impl Fn(&mut HashMap<String, String>)) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    let mut texts = metadata.metadata().clone().unwrap();
    change(&mut texts);
    safetensors::serialize(file.tensors(), Some(texts)).unwrap()
}

fn is_refused_or_the_same(written: &Checkpoint, bytes: &[u8]) -> bool {
    decode(bytes, &expected(3)).map_or(true, |read| same(written, &read))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damage_never_passes(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        splice in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..64)),
    ) {
        let written = checkpoint(3, 1, 7);
        let mut bytes = encode(&written);
        if let Some((from, to, length)) = splice {
            let from = from.index(bytes.len());
            let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, piece);
        }
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assert!(is_refused_or_the_same(&written, &bytes));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes, &expected(3)).is_err());
    }
}
