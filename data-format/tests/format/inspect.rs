//! The summary of a data set, as text and as JSON.

use colearn_data_format::inspect::{LabelSummary, Summary};
use colearn_data_format::{Dataset, NewLabels, Task, write};

use crate::support::{small, written};

#[test]
fn the_numbers_are_right() {
    let mut set = small();
    // Ten values: eight zeros, 3 and -1.
    set.valid.features[1] = vec![0.0, 3.0, 0.0, 0.0, -1.0, 0.0, 0.0, -0.0, 0.0, 0.0];
    let (_folder, path) = written();
    write(&path, &set).unwrap();
    let summary = Summary::new(&Dataset::open(&path).unwrap());

    let audio = &summary.modalities[1];
    assert_eq!((audio.name.as_str(), audio.dim), ("audio", 1));
    let valid = &audio.statistics[1];
    assert!((valid.mean - 0.2).abs() < 1e-12);
    assert!((valid.deviation - (10.0 / 10.0 - 0.04_f64).sqrt()).abs() < 1e-12);
    assert!((valid.zero_share - 0.8).abs() < 1e-12);
    assert_eq!(summary.splits[0].labels, LabelSummary::Classes { counts: vec![2, 1, 1] });
    assert_eq!(summary.splits[2].samples, 3);
    assert_eq!(summary.file_size, std::fs::metadata(&path).unwrap().len());
}

#[test]
fn people_can_read_it() {
    let mut set = small();
    set.train.labels = NewLabels::Classes(vec![0, 0, 2, 0]);
    set.description.source = "a\ntest \u{1b}[31m".to_owned();
    let (_folder, path) = written();
    write(&path, &set).unwrap();
    let text = Summary::new(&Dataset::open(&path).unwrap()).to_string();
    let after_digest = text.split_once("  source").unwrap().1;
    let expected = "       a test  [31m
  licence      none
  time steps   5
  samples      4 train 2 valid 3 test

  modality  features  split        mean   deviation   zeros
  language         3  train     14.7500      8.6591    1.7%
                      valid      7.2500      4.3277    3.3%
                      test      11.0000      6.4936    2.2%
  audio            1  train      3.7500      2.8831    5.0%
                      valid      1.2500      1.4361   10.0%
                      test       2.5000      2.1602    6.7%

  class        train   valid    test
  a                3       0       1
  b                0       2       1
  c \"quoted\"       1       0       1

warning: class `b` has 2 valid sample(s) and none to train on
warning: class `b` has 1 test sample(s) and none to train on
";
    assert_eq!(after_digest, expected);
}

#[test]
fn regression_shows_the_range_of_its_values() {
    let mut set = small();
    set.task = Task::Regression;
    set.train.labels = NewLabels::Values(vec![-3.0, 0.0, 1.0, 2.0]);
    set.valid.labels = NewLabels::Values(vec![0.5, 0.25]);
    set.test.labels = NewLabels::Values(vec![1.0, 1.0, 1.0]);
    let (_folder, path) = written();
    write(&path, &set).unwrap();
    let text = Summary::new(&Dataset::open(&path).unwrap()).to_string();
    assert!(text.contains("labels       train from -3 to 2, mean 0.000\n"), "{text}");
    assert!(!text.contains("class"), "{text}");
}

#[test]
fn programs_can_read_it() {
    let (_folder, path) = written();
    let summary = Summary::new(&Dataset::open(&path).unwrap());
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["task"]["kind"], "classification");
    assert_eq!(json["splits"][1]["split"], "valid");
    assert_eq!(json["splits"][1]["labels"]["counts"][1], 2);
    assert_eq!(json["modalities"][0]["statistics"][0]["split"], "train");
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
}
