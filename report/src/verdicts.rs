//! The words for comparisons with the baseline, for every output format.

use std::fmt::Write as _;

use colearn_core::{
    statistics::{Comparison, MAX_NEEDED, Method, Verdict},
    table::{ConfigurationRow, ResultsTable},
    text::{counted_len, one_line},
};

use crate::{
    cells::{metric_heading, percent, replicate_noun, replicated_by},
    numbers::Numbers,
};

/// The verdict as a word, or why there is none: `PCL`, `too few seeds`.
pub(crate) fn word(comparison: &Comparison) -> Option<&'static str> {
    comparison.verdict.map(Verdict::as_str).or_else(|| comparison.untested.map(|why| why.as_str()))
}

/// A difference that is found, but does not matter.
pub(crate) fn is_negligible(comparison: &Comparison) -> bool {
    let found = matches!(comparison.verdict, Some(Verdict::Positive | Verdict::Negative));
    found && comparison.within_margin == Some(true)
}

/// What a reader of a verdict has to know: that the difference does not matter, or that Holm's test finds it although
/// the interval beside it, which is Bonferroni's, reaches zero.
pub(crate) fn remark(table: &ResultsTable, comparison: &Comparison) -> &'static str {
    if is_negligible(comparison) {
        return " within margin";
    }
    let found = matches!(comparison.verdict, Some(Verdict::Positive | Verdict::Negative));
    let reaches_zero = |(low, high): (f64, f64)| low <= 0.0 && high >= 0.0;
    let reaches = comparison.interval(table.is_simultaneous()).is_some_and(reaches_zero);
    let by_holm = table.is_simultaneous() && comparison.method == Some(Method::Holm);
    if found && by_holm && reaches { " by Holm's test" } else { "" }
}

/// A verdict, such as `PCL +0.031 [0.010, 0.052]`, with the number of pairs if a seed is missing. Without a verdict it
/// is the difference alone.
pub(crate) fn cell(table: &ResultsTable, row: &ConfigurationRow, name: &str) -> String {
    let Some(comparison) = row.comparisons.get(name) else {
        return if row.n == 0 { "no result" } else { "-" }.to_owned();
    };
    let mut text = Numbers::of(table).difference(comparison, table.is_simultaneous());
    if let Some(word) = word(comparison) {
        text = format!("{word} {text}");
    }
    text.push_str(remark(table, comparison));
    if comparison.pairs < row.expected {
        let _ = write!(text, " over {}", counted_len(comparison.pairs, "pair"));
    }
    text
}

/// The p-value of the verdict.
pub(crate) fn decisive_p(table: &ResultsTable, comparison: &Comparison) -> Option<f64> {
    if table.is_simultaneous() { comparison.adjusted_p } else { comparison.t_p }
}

/// Whether a row is tested, and neither a difference nor equivalence is found.
pub(crate) fn is_undecided(table: &ResultsTable, comparison: &Comparison) -> bool {
    let level = 1.0 - table.confidence;
    comparison.within_margin != Some(true) && decisive_p(table, comparison).is_some_and(|p| p > level)
}

/// The number of pairs that would decide; empty for a row that is decided or not tested.
pub(crate) fn needed(table: &ResultsTable, comparison: &Comparison) -> String {
    match comparison.pairs_needed {
        _ if !is_undecided(table, comparison) => String::new(),
        Some(pairs) => pairs.to_string(),
        None => format!("> {MAX_NEEDED}"),
    }
}

/// The number of comparisons that are made in a metric.
pub(crate) fn compared(table: &ResultsTable, name: &str) -> usize {
    table.judged.get(name).into_iter().flatten().map(|group| group.compared).sum()
}

/// What intervals hold for: ` for all 7 comparisons at once (Dunnett)`; empty for one comparison.
pub(crate) fn scope(table: &ResultsTable, name: &str) -> String {
    let compared = compared(table, name);
    if compared < 2 {
        return String::new();
    }
    if !table.is_simultaneous() {
        return ", for each comparison alone".to_owned();
    }
    let mut methods: Vec<&str> =
        table.judged.get(name).into_iter().flatten().map(|group| method_name(group.method)).collect();
    methods.sort_unstable();
    methods.dedup();
    format!(" for all {compared} comparisons at once ({})", methods.join("; for others "))
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Paired => "Sidak",
        // The tests decide, and the intervals are wider.
        Method::Holm => "Bonferroni's intervals beside Holm's tests, which find more",
        Method::Dunnett => Method::Dunnett.as_str(),
    }
}

/// The verdicts in words: `PCL better, NCL worse, equivalent within 0.02, else inconclusive`.
pub(crate) fn legend(table: &ResultsTable, name: &str) -> String {
    let equivalent = match table.margin.get(name) {
        Some(margin) => format!("equivalent within ±{margin}, "),
        None => String::new(),
    };
    format!("PCL better, NCL worse, {equivalent}else inconclusive")
}

/// How the verdicts come about, for the summary line.
pub(crate) fn explained(table: &ResultsTable) -> Option<String> {
    table.baselines().next()?;
    let name = table.verdict_metric()?;
    let (what, words) = match table.is_of_networks() {
        true => ("verdict", format!("; {}", legend(table, name))),
        false => ("last column", String::new()),
    };
    let without = table.configurations.iter().filter(|row| row.n == 0 && !row.baseline).count();
    let left_out = match without {
        0 => String::new(),
        1 => "; 1 configuration without any result is not compared".to_owned(),
        several => format!("; {several} configurations without any result are not compared"),
    };
    Some(format!(
        "{what}: mean difference to the baseline, paired by {}, with its {} % interval{}{words}{left_out}",
        replicated_by(table),
        percent(table.confidence),
        scope(table, name),
    ))
}

/// How the groups of a metric were judged, and why so: one sentence for each way.
pub(crate) fn methods(table: &ResultsTable, name: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for group in table.judged.get(name).into_iter().flatten() {
        let mut text = match group.method {
            Method::Paired => "paired t-tests".to_owned(),
            Method::Dunnett => "Dunnett's maximum with a common deviation".to_owned(),
            Method::Holm => "Holm's correction of paired t-tests, with Bonferroni's intervals".to_owned(),
        };
        if let Some(critical) = group.critical {
            let degrees = group.degrees.unwrap_or_default();
            let _ = write!(text, " (|t| above {critical:.2} with {degrees:.0} degrees of freedom)");
        }
        let _ = write!(text, ", because {}", group.reason.as_str());
        if !sentences.contains(&text) {
            sentences.push(text);
        }
    }
    sentences
}

/// What to do about verdicts that are inconclusive: how many seeds would probably decide. `None` if there are none, and
/// if the table lacks rows of the sweep, about which the sentence would say nothing.
#[must_use]
pub fn next_step(table: &ResultsTable) -> Option<String> {
    let name = table.verdict_metric()?;
    let comparisons: Vec<&Comparison> =
        table.configurations.iter().filter_map(|row| row.comparisons.get(name)).collect();
    let is_whole = comparisons.len() == compared(table, name);
    let undecided: Vec<&Comparison> =
        comparisons.into_iter().filter(|comparison| is_undecided(table, comparison)).collect();
    if undecided.is_empty() || !is_whole {
        return None;
    }
    let noun = replicate_noun(table);
    let mut needed: Vec<usize> = undecided.iter().filter_map(|it| it.pairs_needed).collect();
    needed.sort_unstable();
    let beyond = undecided.len() - needed.len();
    let mut text = format!(
        "{} of {} in {} {} inconclusive",
        undecided.len(),
        counted_len(compared(table, name), "comparison"),
        metric_heading(table, name),
        if undecided.len() == 1 { "is" } else { "are" },
    );
    match needed.as_slice() {
        [] => {
            let _ = write!(text, "; more than {MAX_NEEDED} {noun}s would be needed for a verdict");
        }
        [first, rest @ ..] => {
            let _ = write!(text, "; as it looks, {first} {noun}s would decide the first of them");
            if let Some(last) = rest.last() {
                let _ = write!(text, ", {last} {}", if beyond == 0 { "all" } else { "the others" });
            }
            if beyond > 0 {
                let _ = write!(text, " (without {beyond}, for which {MAX_NEEDED} are not enough)");
            }
            let sweep = one_line(table.sweep.as_str());
            let _ = write!(text, ": add seeds, then `colearn extend {sweep} FILE`");
        }
    }
    Some(text)
}
