//! What a program has told so far: its epochs and its result.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use colearn_core::{
    failure::{Failure, FailureReason},
    result::{EpochRecord, metric::MAX_NAME_BYTES},
    text::is_unprintable,
};

use crate::{
    history::{Added, History, MAX_EPOCHS, Values},
    python_json::Number,
};

/// Maximum number of metrics of a result.
pub(crate) const MAX_METRICS: usize = 64;
/// Number of warnings of one kind that are said in full.
const SAID: u32 = 3;
/// Number of epochs that are told to the agent at once. The result has all of them.
const TOLD: usize = 20;

/// Where a metric of the result comes from. A later one takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The last epoch that the pattern matched.
    LastEpoch,
    /// The pattern, or the file that the sweep names.
    Named,
    /// The file of metrics.
    MetricsFile,
}

/// A kind of warning. Of each kind only the first few are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Line,
    File,
    Epoch,
    NotFinite,
    Name,
    Again,
    Group,
}

/// What a program has told.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) history: History,
    /// The total number of epochs; 0 if the program has not said it.
    pub(crate) epochs: u32,
    result: BTreeMap<String, (Origin, Number)>,
    /// Epochs that the agent has not been told.
    fresh: BTreeSet<u32>,
    /// Whether epochs came since the history was saved.
    pub(crate) is_unsaved: bool,
    warnings: Vec<String>,
    said: BTreeMap<About, u32>,
    given_again: BTreeSet<String>,
    /// The failure of the attempt, whatever the program still does.
    pub(crate) fatal: Option<Failure>,
    /// What was wrong first: a likely reason for a missing result.
    pub(crate) first_problem: Option<String>,
    /// The pattern of the sweep file, if it has one.
    pub(crate) pattern: Option<String>,
}

impl Collected {
    pub(crate) fn new(history: History, pattern: Option<&str>) -> Self {
        Self { history, pattern: pattern.map(str::to_owned), ..Self::default() }
    }

    /// Counts a warning of a kind of which enough are said. Returns whether it was counted.
    pub(crate) fn count_only(&mut self, about: About) -> bool {
        match self.said.get_mut(&about) {
            Some(said) if *said >= SAID => {
                *said = said.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Notes something for the log.
    pub(crate) fn warn(&mut self, about: About, text: impl Into<String>) {
        let text = text.into();
        let said = self.said.entry(about).or_default();
        *said = said.saturating_add(1);
        if matches!(about, About::Line | About::File | About::Group) {
            self.first_problem.get_or_insert_with(|| text.clone());
        }
        if *said <= SAID {
            self.warnings.push(text);
        }
    }

    /// The warnings since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        mem::take(&mut self.warnings)
    }

    /// The number of warnings that were left out.
    pub(crate) fn warnings_left_out(&self) -> u32 {
        self.said.values().map(|said| said.saturating_sub(SAID)).sum()
    }

    /// Fails the attempt, whatever the program still does.
    pub(crate) fn fail(&mut self, message: impl Into<String>) {
        self.fatal.get_or_insert_with(|| Failure::new(FailureReason::Settings, message));
    }

    /// Adds an epoch.
    pub(crate) fn add_epoch(&mut self, epoch: u32, numbers: impl IntoIterator<Item = (String, Number)>) {
        let mut values = Values::new();
        for (name, number) in numbers {
            if let Some(why) = fault_in_name(&name) {
                self.warn(About::Name, format!("a value of epoch {epoch} is left out: its name {why}"));
                continue;
            }
            match number {
                Number::Finite(value) => drop(values.insert(name, value)),
                Number::NotFinite(text) => {
                    self.warn(
                        About::NotFinite,
                        format!("`{name}` of epoch {epoch} is {text} and is left out"),
                    );
                }
                Number::Not(what) => {
                    self.warn(
                        About::Epoch,
                        format!("`{name}` of epoch {epoch} is {what}, not a number, and is left out"),
                    );
                }
                Number::Null => {}
            }
        }
        match self.history.add(epoch, values) {
            Added::Kept => {}
            Added::Without(names) => self.warn(
                About::Epoch,
                format!(
                    "epochs have too many different values; `{}` of epoch {epoch} is left out",
                    names.join("`, `")
                ),
            ),
            Added::TooMany => {
                self.warn(About::Epoch, format!("epoch {epoch} is left out: at most {MAX_EPOCHS} epochs and 3 MB of their values are kept"));
                return;
            }
        }
        self.is_unsaved = true;
        self.fresh.insert(epoch);
    }

    /// The epochs that the agent has not been told; only the last ones if there are many.
    pub(crate) fn take_epochs(&mut self) -> Vec<EpochRecord> {
        let fresh = mem::take(&mut self.fresh);
        let skipped = fresh.len().saturating_sub(TOLD);
        fresh.into_iter().skip(skipped).filter_map(|epoch| self.history.get(epoch)).collect()
    }

    /// Adds a metric of the result.
    pub(crate) fn add_metric(&mut self, origin: Origin, name: &str, number: Number) {
        if let Some(why) = fault_in_name(name) {
            self.warn(About::Name, format!("a metric of the result is left out: its name {why}"));
            return;
        }
        match self.result.get(name) {
            Some((earlier, _)) if *earlier > origin => return,
            Some((Origin::MetricsFile, earlier))
                if *earlier != number && self.given_again.insert(name.to_owned()) =>
            {
                let text = format!("the metric `{name}` of the result is given again; the last value counts");
                self.warn(About::Again, text);
            }
            None if self.result.len() > 100 * MAX_METRICS => {
                self.warn(
                    About::Name,
                    format!("the metric `{name}` of the result is left out: there are too many"),
                );
                return;
            }
            _ => {}
        }
        self.result.insert(name.to_owned(), (origin, number));
    }

    /// The metrics of a program that ended well. All `needed` ones must be there.
    pub(crate) fn result(&mut self, needed: &[String]) -> Result<BTreeMap<String, f64>, Failure> {
        let settings = |message: String| Failure::new(FailureReason::Settings, message);
        let mut metrics = BTreeMap::new();
        for (name, (_, number)) in &self.result {
            match number {
                Number::Finite(value) => drop(metrics.insert(name.clone(), *value)),
                Number::NotFinite(text) => {
                    return Err(Failure::new(
                        FailureReason::Diverged,
                        format!("the metric `{name}` is {text}"),
                    ));
                }
                Number::Not("a boolean") => {
                    return Err(settings(format!(
                        "the metric `{name}` is a boolean, not a number; write 1 or 0"
                    )));
                }
                Number::Not(what) => {
                    return Err(settings(format!("the metric `{name}` is {what}, not a number")));
                }
                Number::Null => return Err(settings(format!("the metric `{name}` is null, not a number"))),
            }
        }
        let quoted =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let missing: Vec<&str> =
            needed.iter().map(String::as_str).filter(|name| !metrics.contains_key(*name)).collect();
        let problem = self.first_problem.as_ref().map(|problem| format!("; {problem}")).unwrap_or_default();
        if metrics.is_empty() {
            let named = if needed.is_empty() { String::new() } else { format!(" with {}", quoted(&missing)) };
            if let Some(pattern) = &self.pattern {
                return Err(settings(format!(
                    "the program ended with exit code 0 but gave no result{named}: `{pattern}` matched no line of its output, and nothing was written to the file that COLEARN_METRICS names{problem}"
                )));
            }
            return Err(settings(format!(
                "the program ended with exit code 0 but gave no result{named}: write {{\"result\": {{\"{}\": 0.9}}}} as a line to the file that COLEARN_METRICS names, or name the `result` in the sweep file{problem}",
                needed.first().map_or("accuracy", String::as_str),
            )));
        }
        if !missing.is_empty() {
            let given: Vec<&str> = metrics.keys().map(String::as_str).take(MAX_METRICS).collect();
            return Err(settings(format!(
                "the result lacks {}; it has {}{problem}",
                quoted(&missing),
                quoted(&given)
            )));
        }
        let excess = metrics.len().saturating_sub(MAX_METRICS.max(needed.len()));
        if excess > 0 {
            self.warn(
                About::Name,
                format!("{excess} metrics of the result are left out: at most {MAX_METRICS} are kept"),
            );
            let surplus: Vec<String> =
                metrics.keys().rev().filter(|name| !needed.contains(name)).take(excess).cloned().collect();
            metrics.retain(|name, _| !surplus.contains(name));
        }
        Ok(metrics)
    }
}

/// What is wrong with the name of a metric, after `its name`.
fn fault_in_name(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("is empty".to_owned())
    } else if name.len() > MAX_NAME_BYTES {
        Some(format!("has {} bytes, and at most {MAX_NAME_BYTES} are allowed", name.len()))
    } else if name.contains(is_unprintable) {
        Some(format!("{name:?} has control characters"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(metrics: &[(&str, Number)]) -> Collected {
        let mut collected = Collected::default();
        for (name, number) in metrics {
            collected.add_metric(Origin::MetricsFile, name, number.clone());
        }
        collected
    }

    #[test]
    fn results_are_merged_and_the_better_origin_counts() {
        let mut collected =
            with(&[("a", Number::Finite(1.0)), ("b", Number::Finite(2.0)), ("a", Number::Finite(3.0))]);
        collected.add_metric(Origin::Named, "a", Number::Finite(9.0));
        collected.add_metric(Origin::Named, "c", Number::Finite(4.0));
        collected.add_metric(Origin::LastEpoch, "c", Number::NotFinite("nan".into()));
        let needed = ["a".to_owned(), "c".to_owned()];
        let expected = [("a", 3.0), ("b", 2.0), ("c", 4.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(collected.result(&needed), Ok(expected.into()));
        let warnings = collected.take_warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("`a` of the result is given again"), "{warnings:?}");
    }

    #[test]
    fn a_result_that_is_none_says_why() {
        let needed = ["a".to_owned(), "z".to_owned()];
        for (metrics, reason, said) in [
            (&[][..], FailureReason::Settings, "gave no result with `a`, `z`"),
            (
                &[("a", Number::Finite(1.0)), ("b", Number::Finite(1.0))],
                FailureReason::Settings,
                "lacks `z`; it has `a`, `b`",
            ),
            (&[("a", Number::NotFinite("NaN".into()))], FailureReason::Diverged, "`a` is NaN"),
            (&[("a", Number::Not("a boolean"))], FailureReason::Settings, "write 1 or 0"),
            (&[("a", Number::Null)], FailureReason::Settings, "`a` is null"),
        ] {
            let failure = with(metrics).result(&needed).unwrap_err();
            assert_eq!(failure.reason, reason);
            assert!(failure.message.contains(said), "{failure}");
        }
    }

    #[test]
    fn too_many_metrics_leave_the_needed_ones() {
        let mut collected = Collected::default();
        for n in 0..100 {
            collected.add_metric(Origin::Named, &format!("m{n:02}"), Number::Finite(0.0));
        }
        let needed = ["m99".to_owned()];
        let kept = collected.result(&needed).unwrap();
        assert_eq!(
            (kept.len(), kept.contains_key("m99"), kept.contains_key("m64")),
            (MAX_METRICS, true, false)
        );
    }

    #[test]
    fn names_that_nobody_could_read_are_left_out() {
        let long = "x".repeat(129);
        let bad = [" ", "a\u{1b}[2J", &long];
        let mut collected = with(&bad.map(|name| (name, Number::Finite(1.0))));
        collected.add_epoch(1, bad.map(|name| (name.to_owned(), Number::Finite(1.0))));
        assert!(collected.result(&[]).is_err());
        assert_eq!(collected.take_epochs().len(), 1);
        assert_eq!((collected.take_warnings().len(), collected.warnings_left_out()), (3, 3));
    }
}
