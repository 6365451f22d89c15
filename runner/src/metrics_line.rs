//! One line of the file of metrics.

use colearn_core::text::{one_line, shortened};
use serde_json::{Map, Value};

use crate::{
    collected::{About, Collected, Origin},
    python_json::{Number, number, parse},
};

/// Keys of a line that are not values of an epoch.
const EPOCH: &str = "epoch";
const EPOCHS: &str = "epochs";
const RESULT: &str = "result";
const TASK: &str = "task";

/// Whether a line without a line break at its end is a whole one.
pub(crate) fn is_whole(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| parse(line).is_ok())
}

/// Takes a line of the file of the task with this name.
pub(crate) fn take(line: &[u8], line_number: u64, task: &str, collected: &mut Collected) {
    if line.trim_ascii().is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(line);
    let parsed = parse(&text);
    if !matches!(parsed, Ok(Value::Object(_))) && collected.count_only(About::Line) {
        return;
    }
    let place = format!("line {line_number} of the file of metrics");
    let excerpt = shortened(&one_line(&shortened(&text, 1000)), 200);
    let fields = match parsed {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => {
            collected.warn(About::Line, format!("{place} is not a JSON object and is left out: `{excerpt}`"));
            return;
        }
        Err(error) => {
            collected
                .warn(About::Line, format!("{place} is not JSON and is left out: {error} in `{excerpt}`"));
            return;
        }
    };
    if let Some(named) = fields.get(TASK)
        && named != task
    {
        collected.fail(format!(
            "{place} is of the task {named}, and this is the task \"{task}\": the program must read its task from COLEARN_TASK in every attempt"
        ));
        return;
    }
    if !fields.contains_key(EPOCH) && !fields.contains_key(RESULT) {
        collected.warn(
            About::Line,
            format!(
                "{place} has neither `epoch` nor `result` and is left out: `{excerpt}`; a result is written {{\"result\": {{\"accuracy\": 0.9}}}}"
            ),
        );
        return;
    }
    if let Some(epoch) = fields.get(EPOCH) {
        take_epoch(epoch, &fields, &place, collected);
    }
    match fields.get(RESULT) {
        None => {}
        Some(Value::Object(metrics)) => {
            for (name, value) in metrics {
                collected.add_metric(Origin::MetricsFile, name, number(value));
            }
        }
        Some(_) => collected.warn(
            About::Line,
            format!("the `result` in {place} is not an object of metrics and is left out: `{excerpt}`"),
        ),
    }
}

fn take_epoch(epoch: &Value, fields: &Map<String, Value>, place: &str, collected: &mut Collected) {
    let Some(epoch) = positive(epoch) else {
        collected.warn(
            About::Line,
            format!("the epoch in {place} is left out: epochs are integers from 1, and this one is {epoch}"),
        );
        return;
    };
    if let Some(total) = fields.get(EPOCHS) {
        match positive(total) {
            Some(total) => collected.epochs = total,
            None => collected.warn(
                About::Epoch,
                format!(
                    "`epochs` in {place}, the number of epochs, is {total}, which is not an integer from 1"
                ),
            ),
        }
    }
    let values = fields.iter().filter(|(name, _)| ![EPOCH, EPOCHS, RESULT, TASK].contains(&name.as_str()));
    collected.add_epoch(epoch, values.map(|(name, value)| (name.clone(), number(value))));
}

/// An integer from 1, also one that is written `3.0`.
fn positive(value: &Value) -> Option<u32> {
    match number(value) {
        Number::Finite(number) if number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is an integer within the bounds"
            )]
            Some(number as u32)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> Collected {
        let mut collected = Collected::default();
        for (number, line) in (1..).zip(lines) {
            take(line.as_bytes(), number, "3-00ab-1", &mut collected);
        }
        collected
    }

    #[test]
    fn epochs_and_results_are_told_apart() {
        let mut collected = taken(&[
            r#"{"epoch": 1, "epochs": 20, "train_loss": 0.5, "phase": "warm", "valid_loss": null}"#,
            r#"{"epoch": 2.0, "train_loss": 0.25, "result": {"accuracy": 0.5}, "task": "3-00ab-1"}"#,
            r#"{"result": {"loss": 1}}"#,
        ]);
        let epochs = collected.take_epochs();
        assert_eq!(epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(collected.epochs, 20);
        let expected = [("accuracy", 0.5), ("loss", 1.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(collected.result(&[]), Ok(expected.into()));
        let warnings = collected.take_warnings();
        assert_eq!(warnings, ["`phase` of epoch 1 is a text, not a number, and is left out"]);
    }

    #[test]
    fn lines_that_are_wrong_say_why() {
        for (line, said) in [
            ("Epoch 1", "line 1 of the file of metrics is not JSON"),
            ("[1]", "is not a JSON object"),
            (r#"{"accuracy": 0.9}"#, "has neither `epoch` nor `result`"),
            (r#"{"epoch": 0, "x": 1}"#, "epochs are integers from 1, and this one is 0"),
            (r#"{"epoch": true}"#, "this one is true"),
            (r#"{"epoch": 1.5}"#, "this one is 1.5"),
            (r#"{"epoch": 5000000000}"#, "this one is 5000000000"),
            (r#"{"epoch": 1, "epochs": "many"}"#, "`epochs` in line 1"),
            (r#"{"epoch": 1, "loss": NaN}"#, "`loss` of epoch 1 is NaN and is left out"),
            (r#"{"result": 0.9}"#, "is not an object of metrics"),
            ("\u{fffd}", "is not JSON"),
        ] {
            let warnings = taken(&[line]).take_warnings();
            assert_eq!(warnings.len(), 1, "{line}");
            assert!(warnings[0].contains(said), "{}", warnings[0]);
        }
        assert_eq!(taken(&["", "  "]).take_warnings(), [""; 0]);
        let failure = taken(&[r#"{"epoch": 1, "task": "3-00ab-2"}"#]).fatal.unwrap();
        assert!(
            failure.message.contains("is of the task \"3-00ab-2\", and this is the task \"3-00ab-1\""),
            "{failure}"
        );
    }
}
