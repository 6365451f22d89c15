//! Compares the metrics and the learning rate schedule.

use std::collections::BTreeMap;

use colearn_core::result::classes::class_counts;
use colearn_trainer::{
    metrics::{Confusion, Regression},
    plateau::Plateau,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::scalars;

fn read<T: DeserializeOwned>(place: &str) -> Vec<T> {
    let all = scalars();
    let cases = all.pointer(place).expect("the fixture has these cases").clone();
    let cases: Vec<T> = serde_json::from_value(cases).expect("the cases have these fields");
    assert!(!cases.is_empty());
    cases
}

fn assert_metrics(found: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>, case: usize) {
    assert_eq!(found.len(), expected.len() + 1, "every metric but the loss, which was given");
    for (name, expected) in expected {
        let found = found[name];
        assert!((found - expected).abs() < 1e-12, "case {case}, {name}: {found}, expected {expected}");
    }
}

#[test]
fn classification_metrics_are_scikit_learns() {
    #[derive(Deserialize)]
    struct Case {
        truth: Vec<usize>,
        predicted: Vec<usize>,
        classes: usize,
        metrics: BTreeMap<String, f64>,
        class_f1: Vec<f64>,
    }
    for (number, case) in read::<Case>("/metrics/classification").into_iter().enumerate() {
        let mut confusion = Confusion::new(case.classes);
        case.truth.iter().zip(&case.predicted).for_each(|(&y, &p)| confusion.add(y, p));
        assert_metrics(&confusion.metrics(0.0), &case.metrics, number);
        let classes = class_counts(confusion.counts());
        assert_eq!(classes.len(), case.class_f1.len());
        for (class, (counts, expected)) in classes.iter().zip(&case.class_f1).enumerate() {
            assert!((counts.f1() - expected).abs() < 1e-12, "case {number}, F1 of class {class}");
        }
    }
}

#[test]
fn regression_metrics_are_scikit_learns_and_scipys() {
    #[derive(Deserialize)]
    struct Case {
        truth: Vec<f64>,
        predicted: Vec<f64>,
        confusion: Vec<Vec<u64>>,
        metrics: BTreeMap<String, f64>,
    }
    for (number, case) in read::<Case>("/metrics/regression").into_iter().enumerate() {
        let mut regression = Regression::new();
        case.truth.iter().zip(&case.predicted).for_each(|(&y, &p)| regression.add(y, p));
        assert_metrics(&regression.metrics(0.0), &case.metrics, number);
        assert_eq!(regression.confusion().counts(), case.confusion, "case {number}");
    }
}

#[test]
fn the_schedule_is_pytorchs() {
    #[derive(Deserialize)]
    struct Case {
        factor: f64,
        patience: u32,
        rate: f64,
        losses: Vec<f64>,
        rates: Vec<f64>,
    }
    for (number, case) in read::<Case>("/plateau").into_iter().enumerate() {
        let mut plateau = Plateau::new(case.factor, case.patience);
        let mut rate = case.rate;
        for (epoch, (&loss, &expected)) in case.losses.iter().zip(&case.rates).enumerate() {
            rate = plateau.observe(loss, rate);
            assert_eq!(rate, expected, "case {number}, epoch {epoch}");
        }
    }
}
