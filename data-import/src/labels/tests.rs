use super::*;

fn read(values: Values, options: &LabelOptions) -> Result<Labels, String> {
    let samples = Samples::counted(values.len());
    let mut mistakes = Mistakes::default();
    let labels = interpret("labels.csv", values, &samples, options, &mut mistakes);
    match mistakes.none() {
        Ok(()) => Ok(labels.unwrap()),
        Err(error) => {
            assert_eq!(labels, None);
            Err(error.to_string())
        }
    }
}

fn texts(texts: &[&str]) -> Values {
    Values::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn names(names: &[&str]) -> LabelOptions {
    LabelOptions {
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..LabelOptions::default()
    }
}

#[test]
fn whole_numbers_are_indices_however_they_are_written() {
    let expected = NewLabels::Classes(vec![0, 2, 1]);
    for values in
        [Values::Numbers(vec![0.0, 2.0, 1.0]), texts(&["0", "2", " 1"]), texts(&["0.0", "2.0", "1e0"])]
    {
        let read = read(values, &LabelOptions::default()).unwrap();
        assert_eq!((&read.labels, read.sorted), (&expected, false));
        assert_eq!(read.classes.unwrap(), ["0", "1", "2"]);
    }
    let named = read(texts(&["0", "2", "1"]), &names(&["a", "b", "c", "d"])).unwrap();
    assert_eq!(named.classes.unwrap().len(), 4);
}

#[test]
fn texts_are_classes_in_alphabetical_order_or_in_that_of_the_names() {
    let read_sorted = read(texts(&["sad", "angry", "sad"]), &LabelOptions::default()).unwrap();
    assert_eq!(read_sorted.labels, NewLabels::Classes(vec![1, 0, 1]));
    assert!(read_sorted.sorted);
    let named = read(texts(&["sad", "angry", "sad"]), &names(&["sad", "angry"])).unwrap();
    assert_eq!(named.labels, NewLabels::Classes(vec![0, 1, 0]));
    assert_eq!(named.classes.unwrap(), ["sad", "angry"]);
}

#[test]
fn labels_from_1_ask_for_the_option_and_then_count_from_0() {
    let error = read(texts(&["1", "3", "2"]), &LabelOptions::default()).unwrap_err();
    assert!(
        error.contains("counted from 1 (1 to 3)") && error.contains("help: --one-based-labels"),
        "{error}"
    );
    let one_based = LabelOptions { one_based: true, ..LabelOptions::default() };
    let shifted = read(texts(&["1", "3", "2"]), &one_based).unwrap();
    assert_eq!(shifted.labels, NewLabels::Classes(vec![0, 2, 1]));
    assert_eq!(shifted.classes.unwrap(), ["1", "2", "3"]);
    let error = read(texts(&["0", "1"]), &one_based).unwrap_err();
    assert!(error.contains("is 0 at sample 0") && error.contains("omit --one-based-labels"), "{error}");
    let error = read(texts(&["a", "b"]), &one_based).unwrap_err();
    assert!(error.contains("are texts"), "{error}");
}

#[test]
fn labels_that_are_no_classes_are_counted_and_placed() {
    for (values, words) in [
        (
            texts(&["0", "0.5", "1.5", "1"]),
            &["2 labels are not whole numbers, the first is 0.5 at sample 1", "--regression"][..],
        ),
        (texts(&["0", "-1", "1"]), &["1 label is below 0", "-1 at sample 1"]),
        (Values::Numbers(vec![0.0, f64::NAN, 1.0]), &["1 label is missing", "NaN at sample 1"]),
        (texts(&["sad", "", "happy"]), &["1 sample without a label, the first is sample 1"]),
        (texts(&["0", "1000000000000"]), &["go up to 1000000000000, with 2 samples only"]),
        (texts(&["0", "0"]), &["every sample has the label \"0\""]),
        (texts(&["a", "a"]), &["every sample has the label \"a\""]),
    ] {
        let error = read(values, &LabelOptions::default()).unwrap_err();
        for word in words {
            assert!(error.contains(word), "no `{word}` in {error}");
        }
    }
}

#[test]
fn names_have_to_cover_the_labels() {
    let error = read(texts(&["0", "2", "1"]), &names(&["a", "b"])).unwrap_err();
    assert!(
        error.contains(
            "1 label is beyond the 2 classes of --class-names (0 to 1), the first is 2 at sample 1"
        ),
        "{error}"
    );
    let error = read(texts(&["a", "x", "x", "y"]), &names(&["a", "b"])).unwrap_err();
    assert!(
        error.contains("3 labels are not among --class-names: \"x\", \"y\", the first at sample 1"),
        "{error}"
    );
    for (given, words) in
        [(&["a", "a"][..], "\"a\" twice"), (&["a", ""], "empty name"), (&["a"], "at least two")]
    {
        let error = read(texts(&["a", "a"]), &names(given)).unwrap_err();
        assert!(error.contains("--class-names") && error.contains(words), "{error}");
    }
}

#[test]
fn values_to_regress_are_finite_float32() {
    let options = LabelOptions { regression: true, ..LabelOptions::default() };
    let read_values = read(texts(&["-3", "0.5", "2"]), &options).unwrap();
    assert_eq!((read_values.labels, read_values.classes), (NewLabels::Values(vec![-3.0, 0.5, 2.0]), None));
    for (values, words) in [
        (texts(&["0", "nan"]), "1 label is not finite as a float32, the first is NaN at sample 1"),
        (texts(&["1e300", "2"]), "at sample 0"),
        (texts(&["1", "high"]), "label \"high\" at sample 1 is no number"),
    ] {
        let error = read(values, &options).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let both = LabelOptions { regression: true, one_based: true, ..names(&["a", "b"]) };
    let error = read(texts(&["1", "2"]), &both).unwrap_err();
    assert!(error.contains("--class-names") && error.contains("--one-based-labels"), "{error}");
}

#[test]
fn what_would_steer_a_terminal_is_escaped() {
    let error = read(texts(&["a", "\u{1b}[2J\u{202e}x"]), &names(&["a", "b"])).unwrap_err();
    assert!(error.contains("\\u{1b}[2J\\u{202e}x"), "{error}");
}
