//! For arbitrary bytes, opening gives a data set or an error, never a panic.

use std::fs;

use colearn_data_format::inspect::Summary;
use colearn_data_format::{Dataset, Split};
use proptest::prelude::*;

use crate::support::{put_together, take_apart, written};

/// Characters that usually keep a header valid JSON, so that the checks behind the parser are reached.
const PLAUSIBLE: &[u8; 18] = b"0123456789-[],:\"{}";

/// One change of a byte: position, value, and kind of change.
type Edit = (prop::sample::Index, u8, u8);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6)
}

fn edit(bytes: &mut Vec<u8>, edits: Vec<Edit>) {
    for (at, byte, kind) in edits {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        let plausible = PLAUSIBLE[usize::from(byte) % PLAUSIBLE.len()];
        match kind {
            0 => bytes[at] = byte,
            1 => bytes[at] = plausible,
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, plausible),
        }
    }
}

/// Opens the bytes. If that succeeds, the data set must be usable.
fn open(bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    fs::write(&path, bytes).unwrap();
    match Dataset::open(&path) {
        Ok(opened) => {
            for split in Split::ALL {
                prop_assert!(opened.split(split).len() > 0);
                for (index, modality) in opened.modalities().iter().enumerate() {
                    let features = opened.split(split).features(index);
                    prop_assert_eq!(
                        features.len(),
                        opened.split(split).len() * opened.steps() * modality.dim
                    );
                    prop_assert!(features.iter().all(|v| v.is_finite()));
                }
            }
            let _ = Summary::new(&opened).to_string();
        }
        Err(error) => prop_assert!(error.to_string().contains("set.safetensors"), "{error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn changed_headers_never_panic(edits in edits()) {
        let (_folder, path) = written();
        let bytes = fs::read(&path).unwrap();
        let (header, data) = take_apart(&bytes);
        let mut header = header.as_bytes().to_vec();
        edit(&mut header, edits);
        // The length field stays correct, so that the header's content is tested.
        let header = String::from_utf8_lossy(&header);
        open(&put_together(&header, data))?;
    }

    #[test]
    fn changed_files_never_panic(edits in edits(), cut in prop::option::of(any::<prop::sample::Index>())) {
        let (_folder, path) = written();
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes, edits);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        open(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), honest in any::<bool>()) {
        let length = (body.len() as u64 / 2).to_le_bytes();
        let bytes = if honest { [&length[..], &body].concat() } else { body };
        open(&bytes)?;
    }
}
