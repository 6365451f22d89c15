//! Labels: classes, by index or by name, or values.

use std::collections::BTreeSet;

use colearn_data_format::NewLabels;

use crate::{
    mistake::{Mistake, Mistakes, counted, some},
    samples::Samples,
    table::Values,
};

/// How labels are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelOptions {
    /// Values to regress; otherwise classes.
    pub regression: bool,
    /// Class indices are counted from 1.
    pub one_based: bool,
    /// The classes' names in their order; otherwise the texts in alphabetical order, or the numbers.
    pub names: Option<Vec<String>>,
}

/// The labels of all samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Labels {
    pub(crate) labels: NewLabels,
    /// Of classification.
    pub(crate) classes: Option<Vec<String>>,
    /// Whether the classes were put into an order here.
    pub(crate) sorted: bool,
}

/// Reads labels in the order of the samples; adds mistakes in them to `mistakes`.
pub(crate) fn interpret(
    place: &str,
    values: Values,
    samples: &Samples,
    options: &LabelOptions,
    mistakes: &mut Mistakes,
) -> Option<Labels> {
    let reader = Reader { place, samples, options };
    let labels = match numbers(values) {
        Values::Numbers(values) if options.regression => reader.regression(&values),
        Values::Numbers(values) => reader.indices(&values),
        Values::Texts(texts) => reader.texts(&texts),
    };
    labels.map_err(|found| found.into_iter().for_each(|mistake| mistakes.add(mistake))).ok()
}

/// Texts that are all numbers are numbers.
fn numbers(values: Values) -> Values {
    let Values::Texts(texts) = &values else { return values };
    let parsed: Option<Vec<f64>> = texts.iter().map(|text| text.trim().parse().ok()).collect();
    parsed.map_or(values, Values::Numbers)
}

struct Reader<'a> {
    place: &'a str,
    samples: &'a Samples,
    options: &'a LabelOptions,
}

impl Reader<'_> {
    /// A mistake of the labels for which `is_wrong` holds, if there are any; `problem` goes with their number.
    fn wrong(&self, values: &[f64], problem: &str, is_wrong: impl Fn(f64) -> bool) -> Option<Mistake> {
        let first = values.iter().position(|value| is_wrong(*value))?;
        let count = values.iter().filter(|value| is_wrong(**value)).count();
        let (value, name) = (values[first], self.samples.name(first));
        let many = counted(count, "label");
        let are = if count == 1 { "is" } else { "are" };
        Some(Mistake::new(self.place, format_args!("{many} {are} {problem}, the first is {value} at {name}")))
    }

    fn regression(&self, values: &[f64]) -> Result<Labels, Vec<Mistake>> {
        let too_large = |value: f64| !(value as f32).is_finite();
        if let Some(mistake) = self.wrong(values, "not finite as a float32", too_large) {
            return Err(vec![mistake.help("remove the samples, or correct the labels")]);
        }
        let mut mistakes = Vec::new();
        if self.options.names.is_some() {
            mistakes.push(
                Mistake::new("--class-names", "a regression has no classes")
                    .help("omit one of --regression and --class-names"),
            );
        }
        if self.options.one_based {
            mistakes.push(
                Mistake::new("--one-based-labels", "a regression has no class indices")
                    .help("omit one of --regression and --one-based-labels"),
            );
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let labels = values.iter().map(|value| *value as f32).collect();
        Ok(Labels { labels: NewLabels::Values(labels), classes: None, sorted: false })
    }

    fn indices(&self, values: &[f64]) -> Result<Labels, Vec<Mistake>> {
        let missing = self.wrong(values, "missing (NaN or infinite)", |value| !value.is_finite());
        let fraction =
            self.wrong(values, "not whole numbers", |value| value.is_finite() && value.fract() != 0.0);
        let mut mistakes = Vec::new();
        mistakes.extend(missing.map(|it| it.help("remove the samples")));
        mistakes.extend(fraction.map(|it| {
            it.help("--regression if they are values to predict; classes are whole numbers from 0, or texts")
        }));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let base = f64::from(u8::from(self.options.one_based));
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if smallest < base {
            let below = format!("below {base}, where counting begins");
            let help = if self.options.one_based && smallest >= 0.0 {
                "omit --one-based-labels"
            } else {
                "remove samples without a class; --regression if they are values to predict"
            };
            return Err(self
                .wrong(values, &below, |value| value < base)
                .into_iter()
                .map(|it| it.help(help))
                .collect());
        }
        if base == 0.0 && smallest == 1.0 {
            let problem = format!("labels are counted from 1 (1 to {largest}); no sample has 0");
            return Err(vec![Mistake::new(self.place, problem).help("--one-based-labels")]);
        }
        let count = largest - base + 1.0;
        let names = match &self.options.names {
            Some(names) => {
                let last = names.len() as f64 - 1.0 + base;
                let many = format!(
                    "beyond the {} of --class-names ({base} to {last})",
                    counted(names.len(), "class")
                );
                if let Some(mistake) = self.wrong(values, &many, |value| value > last) {
                    return Err(vec![mistake.help("name every class, or correct the labels")]);
                }
                checked(names)?
            }
            None if count > values.len() as f64 => {
                let problem =
                    format!("labels go up to {largest}, with {} only", counted(values.len(), "sample"));
                return Err(vec![Mistake::new(self.place, problem).help(
                    "--regression if they are values to predict; identifiers that are no numbers in a row should be texts, such as `class 4711`",
                )]);
            }
            // At most as many as there are samples.
            None => (0..count as u64).map(|index| (index + base as u64).to_string()).collect(),
        };
        self.at_least_two(&names)?;
        let labels = values.iter().map(|value| (value - base) as i64).collect();
        Ok(Labels { labels: NewLabels::Classes(labels), classes: Some(names), sorted: false })
    }

    fn texts(&self, texts: &[String]) -> Result<Labels, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let empty: Vec<usize> = (0..texts.len()).filter(|at| texts[*at].is_empty()).collect();
        if let Some(first) = empty.first() {
            let problem = format!(
                "{} without a label, the first is {}",
                counted(empty.len(), "sample"),
                self.samples.name(*first)
            );
            mistakes
                .push(Mistake::new(self.place, problem).help("remove the samples, or correct the labels"));
        }
        if self.options.regression {
            if let Some(at) = texts.iter().position(|text| !text.is_empty() && text.parse::<f64>().is_err()) {
                let problem = format!("label {:?} at {} is no number", texts[at], self.samples.name(at));
                mistakes
                    .push(Mistake::new(self.place, problem).help("omit --regression if labels are classes"));
            }
            return Err(mistakes);
        }
        if self.options.one_based {
            mistakes.push(
                Mistake::new("--one-based-labels", format_args!("the labels of {} are texts", self.place))
                    .help("omit it; --class-names says in which order the classes are"),
            );
        }
        let sorted = self.options.names.is_none();
        let names = match &self.options.names {
            Some(names) => checked(names)?,
            None => texts
                .iter()
                .cloned()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .filter(|it| !it.is_empty())
                .collect(),
        };
        let index = |text: &String| names.iter().position(|name| name == text).map(|index| index as i64);
        let unknown: Vec<usize> =
            (0..texts.len()).filter(|at| !texts[*at].is_empty() && index(&texts[*at]).is_none()).collect();
        if let Some(first) = unknown.first() {
            let distinct: BTreeSet<&String> = unknown.iter().map(|at| &texts[*at]).collect();
            let problem = format!(
                "{} {} not among --class-names: {}, the first at {}",
                counted(unknown.len(), "label"),
                if unknown.len() == 1 { "is" } else { "are" },
                some(distinct),
                self.samples.name(*first)
            );
            mistakes
                .push(Mistake::new(self.place, problem).help(format_args!("the names are {}", some(&names))));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.at_least_two(&names)?;
        let labels = texts.iter().filter_map(index).collect();
        Ok(Labels { labels: NewLabels::Classes(labels), classes: Some(names), sorted })
    }

    fn at_least_two(&self, names: &[String]) -> Result<(), Vec<Mistake>> {
        if names.len() >= 2 {
            return Ok(());
        }
        let problem = format!("every sample has the label {}", some(names));
        Err(vec![Mistake::new(self.place, problem).help("a classification needs at least two classes")])
    }
}

/// Class names that the format takes.
fn checked(names: &[String]) -> Result<Vec<String>, Vec<Mistake>> {
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name);
    let problem = match twice {
        Some(name) => format!("names {name:?} twice"),
        None if names.iter().any(String::is_empty) => "holds an empty name".to_owned(),
        None if names.len() < 2 => "has one name, expected at least two, separated by commas".to_owned(),
        None => return Ok(names.to_vec()),
    };
    Err(vec![Mistake::new("--class-names", problem)])
}

#[cfg(test)]
mod tests;
