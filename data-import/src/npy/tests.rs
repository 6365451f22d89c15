use proptest::prelude::*;
use zip::CompressionMethod;

use super::*;
use crate::testing::{Folder, counting, doubles, npy, npz};

fn opened(bytes: &[u8]) -> Result<Npy<&[u8]>, NpyError> {
    Npy::new(bytes, bytes.len() as u64)
}

fn values(bytes: &[u8]) -> Vec<f64> {
    let array = opened(bytes).unwrap();
    let mut values = vec![f64::NAN; array.header.count];
    array.numbers(|at, value| values[at] = value).unwrap();
    values
}

#[test]
fn every_type_of_number_in_both_orders_of_bytes() {
    let cases: Vec<(&str, Vec<u8>, Vec<f64>)> = vec![
        ("f2", [0x3e00_u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![1.5, -2.0]),
        ("f4", [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![1.5, -2.0]),
        ("f8", [1.5_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![1.5, -2.0]),
        ("i1", vec![5, 0x80], vec![5.0, -128.0]),
        ("i2", [300_i16, -300].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![300.0, -300.0]),
        ("i4", [70_000_i32, -1].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![70_000.0, -1.0]),
        (
            "i8",
            [1_i64 << 40, -7].iter().flat_map(|v| v.to_le_bytes()).collect(),
            vec![1_099_511_627_776.0, -7.0],
        ),
        ("u1", vec![5, 0x80], vec![5.0, 128.0]),
        ("u2", [300_u16, 0xffff].iter().flat_map(|v| v.to_le_bytes()).collect(), vec![300.0, 65535.0]),
        (
            "u4",
            [1_u32, 0xffff_ffff].iter().flat_map(|v| v.to_le_bytes()).collect(),
            vec![1.0, 4_294_967_295.0],
        ),
        (
            "u8",
            [1_u64, 1 << 63].iter().flat_map(|v| v.to_le_bytes()).collect(),
            vec![1.0, 9_223_372_036_854_775_808.0],
        ),
        ("b1", vec![1, 0], vec![1.0, 0.0]),
    ];
    for (kind, little, expected) in cases {
        assert_eq!(values(&npy(&format!("<{kind}"), false, &[2], &little)), expected, "<{kind}");
        let size = little.len() / 2;
        let big: Vec<u8> = little.chunks(size).flat_map(|value| value.iter().rev().copied()).collect();
        assert_eq!(values(&npy(&format!(">{kind}"), false, &[2], &big)), expected, ">{kind}");
    }
}

#[test]
fn fortran_order_comes_out_in_c_order() {
    // [[0, 1, 2], [3, 4, 5]] column by column.
    let data: Vec<u8> = [0_u8, 3, 1, 4, 2, 5].to_vec();
    assert_eq!(values(&npy("|u1", true, &[2, 3], &data)), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(values(&npy("|u1", true, &[3], &[7, 8, 9])), [7.0, 8.0, 9.0]);
    assert_eq!(values(&npy("|u1", true, &[0, 3], &[])), [] as [f64; 0]);
    assert_eq!(
        opened(&npy(">f4", true, &[1, 1], &[0; 4])).unwrap().header.kind(),
        "float32 big-endian Fortran order"
    );
}

#[test]
fn more_values_than_are_decoded_at_a_time() {
    let shape = [3, CHUNK + 1];
    let read = values(&counting(&shape));
    assert!(read.iter().enumerate().all(|(at, value)| *value == at as f64 + 0.5));
}

#[test]
fn texts_of_both_kinds() {
    let points: Vec<u32> = "sad\0ünd\0".chars().map(u32::from).collect();
    let little: Vec<u8> = points.iter().flat_map(|point| point.to_le_bytes()).collect();
    let big: Vec<u8> = points.iter().flat_map(|point| point.to_be_bytes()).collect();
    for bytes in [
        npy("<U4", false, &[2], &little),
        npy(">U4", false, &[2], &big),
        npy("|S4", false, &[2], b"sad\0\xc3\xbcnd"),
    ] {
        assert_eq!(opened(&bytes).unwrap().texts().unwrap(), ["sad", "ünd"]);
        assert!(matches!(opened(&bytes).unwrap().numbers(|_, _| ()), Err(NpyError::Text)));
    }
    assert!(matches!(
        opened(&npy("|S2", false, &[1], b"\xff\xff")).unwrap().texts(),
        Err(NpyError::NotUnicode(0))
    ));
    assert!(matches!(
        opened(&npy("<U1", false, &[1], &[0xff; 4])).unwrap().texts(),
        Err(NpyError::NotUnicode(0))
    ));
    assert!(matches!(opened(&doubles(&[1], &[0.0])).unwrap().texts(), Err(NpyError::NoText)));
}

#[test]
fn what_is_cut_off_or_claims_too_much_is_damaged() {
    let good = doubles(&[2, 2], &[0.0; 4]);
    for length in [good.len() - 1, good.len() - 32] {
        let error = opened(&good[..length]).err().unwrap().to_string();
        assert!(error.contains("shape [2, 2] takes 32 bytes"), "{error}");
    }
    assert!(matches!(opened(&[&good[..], b"x"].concat()), Err(NpyError::Size { .. })));
    for length in [0, 5, 9, 20] {
        assert!(matches!(opened(&good[..length]), Err(NpyError::NotNpy)), "{length}");
    }
    // A petabyte in a file of a few bytes is refused before anything is made room for.
    let huge = npy("<f8", false, &[1 << 47], &[0; 8]);
    assert!(matches!(opened(&huge), Err(NpyError::Size { .. })));
    assert!(matches!(opened(b"\x93NUMPY\x09\x00\x00\x00"), Err(NpyError::Version(9))));
    assert!(matches!(opened(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), Err(NpyError::Header(_))));
    assert!(matches!(opened(b"PK\x03\x04 and more"), Err(NpyError::NotNpy)));
}

#[test]
fn an_array_of_objects_is_not_unpickled_and_says_what_to_do() {
    let objects = npy("|O", false, &[2], b"\x80\x04cos\nsystem\n");
    let mistake = opened(&objects).err().unwrap().at("audio.npy").to_string();
    assert!(
        mistake.contains("audio.npy: holds Python objects") && mistake.contains("allow_pickle=False"),
        "{mistake}"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let folder = Folder::new();
    let path = folder.path().join("pipe.npy");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(matches!(open(&path), Err(NpyError::Io(_))));
    assert!(open_member(&path, None, &[]).is_err());
    assert!(matches!(open(folder.path()), Err(NpyError::Io(_))));
}

#[test]
fn members_of_archives() {
    let folder = Folder::new();
    let members = [("audio.npy", counting(&[2])), ("video.npy", counting(&[3]))];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let path = folder.put("all.npz", npz(&members, method));
        let count = |key, roles: &[&str]| open_member(&path, key, roles).map(|array| array.header.count);
        assert_eq!(count(Some("video"), &[]), Ok(3));
        assert_eq!(count(None, &["labels", "audio"]), Ok(2));
        let error = count(None, &["text"]).unwrap_err().to_string();
        assert!(
            error.contains("no array \"text\"; it has \"audio\", \"video\"")
                && error.contains("all.npz:NAME"),
            "{error}"
        );
        assert!(count(Some("text"), &["audio"]).is_err());
    }
    let path = folder.put("one.npz", npz(&members[..1], CompressionMethod::Stored));
    assert_eq!(open_member(&path, None, &["labels"]).unwrap().header.count, 2);
}

#[test]
fn damaged_archives_are_refused() {
    let folder = Folder::new();
    let good = npz(&[("a.npy", counting(&[2000]))], CompressionMethod::Deflated);
    let refused = |bytes: &[u8]| {
        let path = folder.put("bad.npz", bytes);
        open_member(&path, None, &[]).err().unwrap().to_string()
    };
    assert!(refused(&good[..good.len() / 2]).contains("is no archive of arrays"));
    assert!(refused(b"hello").contains("is no archive of arrays"));
    // The checksum of the member notices what the compression does not.
    let mut changed = good.clone();
    let at = 60;
    changed[at] ^= 0x10;
    let error = refused(&changed);
    assert!(error.contains("bad.npz"), "{error}");
    // The array in the archive is cut off.
    let cut = counting(&[9]);
    let error = refused(&npz(&[("a.npy", cut[..cut.len() - 4].to_vec())], CompressionMethod::Stored));
    assert!(error.contains("bad.npz:a: is damaged"), "{error}");
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(at in 0..200_usize, byte: u8, length in 0..200_usize) {
        let mut bytes = npy(">f8", true, &[3, 2], &[1; 48]);
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len().min(length));
        if let Ok(array) = opened(&bytes) {
            let _ = array.numbers(|_, _| ());
        }
        if let Ok(array) = opened(&bytes) {
            let _ = array.texts();
        }
    }
}
