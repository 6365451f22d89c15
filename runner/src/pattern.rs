//! The result of a program that only prints it: a regular expression whose named groups are metrics.

use colearn_core::text::{one_line, shortened};
use regex::Regex;

use crate::{
    collected::{About, Collected, Origin},
    python_json::{Number, number_in},
};

/// The group whose presence makes a match an epoch.
const EPOCH: &str = "epoch";

/// A pattern of the result.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    has_epoch: bool,
}

impl Pattern {
    /// Compiles a pattern. The error says what is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern)
            .map_err(|error| format!("the pattern of the result is malformed: {error}"))?;
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        let has_epoch = names.contains(&EPOCH);
        if names.is_empty() {
            return Err(
                "the pattern of the result has no named group; write `(?P<accuracy>\\S+)` for a metric \
                        `accuracy`"
                    .to_owned(),
            );
        }
        Ok(Self { regex, has_epoch })
    }

    /// Takes a line of the program's output.
    pub(crate) fn take(&self, line: &str, collected: &mut Collected) {
        for captures in self.regex.captures_iter(line) {
            let mut epoch = None;
            let mut numbers = Vec::new();
            for name in self.regex.capture_names().flatten() {
                let Some(text) = captures.name(name) else { continue };
                let text = text.as_str();
                if name == EPOCH {
                    epoch = text.trim().parse::<u32>().ok().filter(|&epoch| epoch >= 1);
                    if epoch.is_none() {
                        let text = quoted(text);
                        collected.warn(
                            About::Group,
                            format!("the group `epoch` matched {text}, which is not a number from 1"),
                        );
                    }
                    continue;
                }
                match number_in(text) {
                    Number::Not(_) => {
                        let text = quoted(text);
                        collected.warn(
                            About::Group,
                            format!("the group `{name}` matched {text}, which is not a number"),
                        );
                    }
                    number => numbers.push((name.to_owned(), number)),
                }
            }
            let origin = if self.has_epoch { Origin::LastEpoch } else { Origin::Named };
            for (name, number) in &numbers {
                collected.add_metric(origin, name, number.clone());
            }
            if let Some(epoch) = epoch {
                collected.add_epoch(epoch, numbers);
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", shortened(&one_line(text), 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(pattern: &str, lines: &[&str]) -> Collected {
        let (pattern, mut collected) = (Pattern::new(pattern).unwrap(), Collected::default());
        for line in lines {
            pattern.take(line, &mut collected);
        }
        collected
    }

    #[test]
    fn the_last_match_counts() {
        let lines = ["acc 0.5 loss 2", "acc 0.75 loss 1.5", "acc unknown loss 1"];
        let mut found = collected(r"acc (?P<accuracy>\S+) loss (?P<loss>\S+)", &lines);
        let expected = [("accuracy", 0.75), ("loss", 1.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(found.result(&[]), Ok(expected.into()));
        assert_eq!(found.take_warnings(), ["the group `accuracy` matched `unknown`, which is not a number"]);
    }

    #[test]
    fn a_group_named_epoch_makes_epochs_and_a_result_of_the_last_one() {
        let lines = ["epoch 1: train_loss=2", "epoch 2: train_loss=1", "epoch x: train_loss=9"];
        let mut found = collected(r"epoch (?P<epoch>\w+): train_loss=(?P<train_loss>\d+)", &lines[..2]);
        assert_eq!(found.take_epochs().len(), 2);
        assert_eq!(found.result(&[]), Ok([("train_loss".to_owned(), 1.0)].into()));
        let mut odd = collected(r"epoch (?P<epoch>\w+)", &lines);
        assert_eq!(odd.take_epochs().len(), 2);
        assert!(odd.take_warnings()[0].contains("`x`"));
    }

    #[test]
    fn patterns_without_metrics_are_refused() {
        assert!(Pattern::new("acc ([0-9]+)").unwrap_err().contains("(?P<accuracy>"));
        assert!(Pattern::new("(").unwrap_err().contains("malformed"));
    }
}
