//! The table of settings is compared with the types of the settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{field::MODALITY, *};
use crate::settings::{ModelSettings, TrainingSettings, resolve, types::DEFAULT_HIDDEN};

/// Values for the fields that have no default.
fn required() -> BTreeMap<String, Value> {
    FIELDS
        .iter()
        .filter(|field| field.default.is_none())
        .map(|field| (field.path.to_owned(), "x".into()))
        .collect()
}

#[test]
fn the_table_has_exactly_the_fields_of_the_types() {
    for kind in MODEL_KINDS {
        let mut values = required();
        values.insert("model.kind".to_owned(), (*kind).into());
        values.insert("modality_dropout.audio".to_owned(), 0.5.into());
        values.insert("model.hidden.audio".to_owned(), 64.into());
        // A field that the types lack would be refused; a field that the table lacks would be missing.
        let flat = resolve(&values).flat();
        let found: BTreeSet<_> = flat.keys().map(String::as_str).collect();
        let described: BTreeSet<_> = FIELDS
            .iter()
            .filter(|field| field.belongs_to(kind))
            .map(|field| field.path.replace(MODALITY, "audio"))
            .collect();
        assert_eq!(found, described.iter().map(String::as_str).collect());
    }
}

/// A field that is missing in an old journal has the same value as in a new file without it.
#[test]
fn the_types_have_the_defaults_of_the_table() {
    assert_eq!(resolve(&required()).training, TrainingSettings::default());
    let mut values = required();
    values.insert("model.kind".to_owned(), "mfn".into());
    values.insert("model.hidden.audio".to_owned(), DEFAULT_HIDDEN.into());
    let ModelSettings::Mfn(model) = resolve(&values).model else { panic!("the kind is mfn") };
    assert!(model.hidden.is_empty(), "{DEFAULT_HIDDEN} is the default and need not be said");
    let hidden = field("model.hidden.audio").unwrap().default.unwrap().value();
    assert_eq!(hidden, DEFAULT_HIDDEN);
}

#[test]
fn each_value_a_row_allows_fits_its_type() {
    for field in FIELDS {
        let path = field.path.replace(MODALITY, "audio");
        let extremes: Vec<Value> = match field.kind {
            Kind::Bool => vec![true.into(), false.into()],
            Kind::Integer { min, max } => vec![min.into(), max.into()],
            Kind::Number { .. } => vec![0.25.into()],
            Kind::Word(words) => words.iter().map(|word| (*word).into()).collect(),
            Kind::Modality | Kind::Text => vec!["x".into()],
            Kind::Modalities => vec![serde_json::json!([]), serde_json::json!(["audio", "x"])],
            Kind::Subsets => vec![serde_json::json!([]), serde_json::json!([["audio"], ["audio", "x"]])],
        };
        for value in extremes {
            let mut values = required();
            if let Some(model) = field.models.first() {
                values.insert("model.kind".to_owned(), (*model).into());
            }
            values.insert("training.schedule".to_owned(), "plateau".into());
            values.insert("training.modality_part".to_owned(), "steps".into());
            values.insert("training.modality_anneal_epochs".to_owned(), 3.into());
            values.insert("modality_dropout.face".to_owned(), 0.5.into());
            values.insert(path.clone(), value.clone());
            assert_eq!(resolve(&values).flat()[&path], value, "{path}");
        }
    }
}

#[test]
fn fields_of_one_kind_of_model_do_not_belong_to_others() {
    let hidden = field("model.hidden").unwrap();
    assert!(hidden.belongs_to("bi-eflstm") && !hidden.belongs_to("another"));
    assert!(field("training.epochs").unwrap().belongs_to("another"));
}

#[test]
fn dropouts_are_open_for_every_modality() {
    let dropout = field("modality_dropout.eye-tracking_2").unwrap();
    assert_eq!(dropout.modality("modality_dropout.eye-tracking_2"), Some("eye-tracking_2"));
    assert_eq!(field("model.hidden.audio").unwrap().models, ["mfn"]);
    assert_eq!(field("model.hidden").unwrap().models, ["bi-eflstm"]);
    for path in
        ["modality_dropout", "modality_dropout.", "modality_dropout.2d", "modality_dropout.a.b", "model"]
    {
        assert!(field(path).is_none(), "{path}");
    }
    assert!(!is_modality(&"x".repeat(65)));
}

#[test]
fn the_reference_names_each_field_with_its_range_and_default() {
    let text = reference();
    assert_eq!(text.lines().count(), FIELDS.len());
    assert!(text.contains("model.dropout                    dropout between the layers and in the head; a number in [0, 1) (default 0.5; bi-eflstm)"));
    assert!(text.contains("a number in (0, inf)"));
    assert!(text.contains("`once` or `every_epoch` (default every_epoch)"));
}
