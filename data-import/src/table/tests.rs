use super::*;
use crate::testing::{Folder, npy, npz};

fn column(name: &str, content: impl AsRef<[u8]>, named: Option<&str>, role: Role) -> Result<Column, String> {
    let folder = Folder::new();
    let path = folder.put(name, content);
    let reference = Reference { path, name: named.map(ToOwned::to_owned) };
    read(&reference, role).map_err(|mistake| mistake.to_string())
}

fn texts(content: &str, named: Option<&str>, role: Role) -> Vec<String> {
    column("a.csv", content, named, role).unwrap().values.into_texts()
}

#[test]
fn the_column_is_the_named_one_or_that_of_its_role_or_the_only_one() {
    let table = "id,emotion,label,speaker\na,sad,1,x\nb,happy,0,y\n";
    assert_eq!(texts(table, None, Role::Labels), ["1", "0"]);
    assert_eq!(texts(table, Some("emotion"), Role::Labels), ["sad", "happy"]);
    assert_eq!(texts(table, Some("Emotion"), Role::Labels), ["sad", "happy"]);
    assert_eq!(texts(table, None, Role::Groups), ["x", "y"]);
    assert_eq!(texts(table, None, Role::Ids), ["a", "b"]);
    assert_eq!(texts("id,what\na,1\nb,2\n", None, Role::Labels), ["1", "2"]);
    let error = column("a.csv", table, None, Role::Split).unwrap_err();
    assert!(
        error.contains("\"id\", \"emotion\", \"label\", \"speaker\"") && error.contains("--split"),
        "{error}"
    );
    let error = column("a.csv", table, Some("mood"), Role::Labels).unwrap_err();
    assert!(error.contains("no column \"mood\"") && error.contains(":COLUMN"), "{error}");
}

#[test]
fn ids_go_with_the_values_they_stand_beside() {
    let read = column("a.csv", "label,ID\n1,a\n0,b\n", None, Role::Labels).unwrap();
    assert_eq!(read.ids, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(column("a.csv", "label\n1\n0\n", None, Role::Labels).unwrap().ids, None);
}

#[test]
fn separators_quotes_marks_and_missing_headings() {
    assert_eq!(texts("\u{feff}id;label\r\na;sad\r\nb;\"so; so\"\r\n", None, Role::Labels), ["sad", "so; so"]);
    let tabs = column("a.tsv", "id\tlabel\na\tso, so\n", None, Role::Labels).unwrap();
    assert_eq!(tabs.values.into_texts(), ["so, so"]);
    for numbers in ["0\n1\n1\n", "\u{feff}0\r\n1\r\n1"] {
        assert_eq!(texts(numbers, None, Role::Labels), ["0", "1", "1"]);
    }
    let lines = column("a.txt", "sad\nhappy\n", None, Role::Labels).unwrap();
    assert_eq!(lines.values.into_texts(), ["sad", "happy"]);
}

#[test]
fn mistakes_of_tables_name_the_line() {
    for (content, words) in [
        (&b"id,label\na,1\nb\n"[..], "line 3 has 1 values, the lines before it 2"),
        (b"id,label\na,\xff\n", "line 2 is not UTF-8"),
        (b"id,label\n", "has no rows"),
        (b"", "has no rows"),
    ] {
        let error = column("a.csv", content, None, Role::Labels).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let folder = Folder::new();
    let missing = Reference { path: folder.path().join("no.csv"), name: None };
    assert!(read(&missing, Role::Labels).unwrap_err().to_string().contains("cannot be read"));
    let itself = Reference { path: folder.path().to_owned(), name: None };
    assert!(read(&itself, Role::Labels).unwrap_err().to_string().contains("is not a file"));
}

#[test]
fn arrays_are_columns_if_they_have_one_value_a_sample() {
    let numbers = column("a.npy", npy("|u1", false, &[3], &[1, 0, 2]), None, Role::Labels).unwrap();
    assert_eq!(numbers.values, Values::Numbers(vec![1.0, 0.0, 2.0]));
    assert_eq!((numbers.kind.as_str(), numbers.ids), ("uint8", None));
    assert!(column("a.npy", npy("|u1", false, &[3, 1], &[1, 0, 2]), None, Role::Labels).is_ok());
    let words = column("a.npy", npy("|S1", false, &[2], b"ab"), None, Role::Labels).unwrap();
    assert_eq!(words.values.into_texts(), ["a", "b"]);
    let member = npz(
        &[("labels.npy", npy("|u1", false, &[1], &[7])), ("x.npy", Vec::new())],
        zip::CompressionMethod::Stored,
    );
    assert_eq!(column("a.npz", member, None, Role::Labels).unwrap().values, Values::Numbers(vec![7.0]));

    let error = column("a.npy", npy("|u1", false, &[1, 3], &[0, 1, 0]), None, Role::Labels).unwrap_err();
    assert!(error.contains("1 x 3") && error.contains("argmax"), "{error}");
    let error = column("a.npy", npy("|u1", false, &[1, 3], &[0, 1, 0]), None, Role::Groups).unwrap_err();
    assert!(error.contains("[1, 3]"), "{error}");
    let error = column("a.npy", npy("|O", false, &[3], b"pickle"), None, Role::Labels).unwrap_err();
    assert!(error.contains("Python objects") && error.contains("astype(str)"), "{error}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_says_how_to_do_without() {
    let error = column("a.parquet", b"PAR1", None, Role::Labels).unwrap_err();
    assert!(error.contains("--features parquet") && error.contains("to_csv"), "{error}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_read_as_a_table() {
    use std::sync::Arc;

    use ::parquet::{
        data_type::{ByteArray, ByteArrayType, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    let schema = Arc::new(
        parse_message_type("message m { required binary id (UTF8); required int64 label; }").unwrap(),
    );
    let properties =
        WriterProperties::builder().set_compression(::parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut ids = group.next_column().unwrap().unwrap();
    ids.typed::<ByteArrayType>()
        .write_batch(&[ByteArray::from("a"), ByteArray::from("b")], None, None)
        .unwrap();
    ids.close().unwrap();
    let mut labels = group.next_column().unwrap().unwrap();
    labels.typed::<Int64Type>().write_batch(&[3, 4], None, None).unwrap();
    labels.close().unwrap();
    group.close().unwrap();
    let bytes = writer.into_inner().unwrap();

    let read = column("a.parquet", &bytes, None, Role::Labels).unwrap();
    assert_eq!(read.ids, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(read.values.into_texts(), ["3", "4"]);
    let error = column("a.parquet", &bytes[..bytes.len() - 5], None, Role::Labels).unwrap_err();
    assert!(error.contains("a.parquet"), "{error}");
}
