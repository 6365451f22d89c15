//! A table for LaTeX documents.

use std::fmt::Write as _;

use colearn_core::{
    statistics::{Comparison, Summary, Verdict},
    table::{ConfigurationRow, ResultsTable},
    text::{counted_len, one_line},
};

use crate::{
    cells::{
        averaged_over, count, dependence, metric_heading, percent, replicated_by, setting, setting_columns,
        verdict_heading, warnings,
    },
    choice, meaning,
    numbers::Numbers,
    verdicts::{self, legend, scope},
};

/// A `table` environment in the style of the booktabs package: mean and deviation, the configuration that is best on
/// validation in bold.
#[must_use]
pub fn latex(table: &ResultsTable) -> String {
    let settings = setting_columns(table);
    let verdict_heading = verdict_heading(table);
    let written = Numbers::of(table);
    let numbers = 1 + table.metrics.len();
    let mut heading: Vec<String> = settings.iter().map(|path| escape(path)).collect();
    heading.push("$n$".to_owned());
    heading.extend(table.metrics.iter().map(|name| escape(&metric_heading(table, name))));
    heading.extend(verdict_heading.as_deref().map(escape));
    let columns = format!(
        "{}{}{}",
        "l".repeat(settings.len()),
        "r".repeat(numbers),
        if verdict_heading.is_some() { "l" } else { "" }
    );

    let mut text = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n");
    let _ = writeln!(text, "  \\begin{{tabular}}{{{columns}}}\n    \\toprule");
    let _ = writeln!(text, "    {} \\\\\n    \\midrule", heading.join(" & "));
    let mut marks: Vec<Mark> = Vec::new();
    let best = table.chosen_row().map(|row| row.id);
    let configurations = table.configurations.iter().map(|row| {
        (row, settings.iter().map(|path| escape(&setting(row, path))).collect(), best == Some(row.id))
    });
    let chosen = table.chosen.iter().map(|chosen| {
        let named = std::iter::once(escape(&choice::name(table, chosen)));
        let blank = std::iter::repeat_with(String::new);
        (&chosen.row, named.chain(blank).take(settings.len()).collect(), false)
    });
    let rows: Vec<(&ConfigurationRow, Vec<String>, bool)> = configurations.chain(chosen).collect();
    for (at, (row, mut cells, bold)) in rows.into_iter().enumerate() {
        if at == table.configurations.len() {
            text.push_str("    \\midrule\n");
        }
        cells.push(count(row));
        cells.extend(table.metrics.iter().map(|name| number(row.metrics.get(name), bold, written)));
        if verdict_heading.is_some() {
            let comparison = table.verdict_metric().and_then(|name| row.comparisons.get(name));
            cells.push(comparison.map_or_else(String::new, |it| {
                let mark = Mark::of(table, it);
                marks.extend(mark.filter(|mark| !marks.contains(mark)));
                difference(table, it, mark, written)
            }));
        }
        let _ = writeln!(text, "    {} \\\\", cells.join(" & "));
    }
    text.push_str("    \\bottomrule\n");
    text.push_str("  \\end{tabular}\n");
    marks.sort_unstable();
    let meanings: Vec<String> =
        marks.iter().map(|mark| format!("{} {}", mark.latex(), mark.meaning(table))).collect();
    if !meanings.is_empty() {
        let _ = writeln!(text, "  \\par\\smallskip\n  {{\\footnotesize {}.\\par}}", meanings.join("; "));
    }
    let missing: usize = table.configurations.iter().map(|row| row.expected - row.n).sum();
    let mut caption = format!(
        "Sweep {}: mean $\\pm$ sample standard deviation over $n$ {}.",
        escape(table.sweep.as_str()),
        escape(&averaged_over(table))
    );
    if verdict_heading.is_some() {
        let _ = write!(
            caption,
            " Last column: mean difference to the baseline with its interval, paired by {}{}.",
            escape(&replicated_by(table)),
            if table.is_of_networks() {
                let name = table.verdict_metric().unwrap_or_default();
                format!(
                    "; by the {}\\,\\% interval{}: {}",
                    percent(table.confidence),
                    escape(&scope(table, name)),
                    escape(&legend(table, name)).replace('±', "$\\pm$")
                )
            } else {
                String::new()
            }
        );
    }
    for explained in [meaning::explained(table), choice::explained(table)].into_iter().flatten() {
        let (first, rest) = explained.split_at(1);
        let first = if explained.starts_with("chosen") { first.to_uppercase() } else { first.to_owned() };
        let _ = write!(caption, " {first}{}.", escape(rest));
    }
    if let (Some(by), Some(_)) = (choice::metric(table), table.chosen_row()) {
        let _ = write!(caption, " Bold: best {}.", escape(&by));
    }
    if let Some(limit) = dependence(table) {
        let (first, rest) = limit.split_at(1);
        let _ = write!(caption, " {}{rest}.", first.to_uppercase());
    }
    if missing > 0 {
        let _ = write!(caption, " {} missing.", counted_len(missing, "result"));
    }
    for warning in warnings(table) {
        let _ = write!(caption, " \\textbf{{Warning: {}.}}", escape(&warning));
    }
    // Names of sweeps have only letters, digits, `.`, `_` and `-`, which a label may have.
    let label = table.sweep.as_str();
    let _ = writeln!(text, "  \\caption{{{caption}}}\n  \\label{{tab:{label}}}\n\\end{{table}}");
    text
}

/// A mark of significance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Positive,
    Negative,
    Equivalent,
    /// Another row than one with a verdict, whose difference is significant.
    Different,
}

impl Mark {
    fn of(table: &ResultsTable, comparison: &Comparison) -> Option<Self> {
        match comparison.verdict {
            Some(Verdict::Positive) => Some(Self::Positive),
            Some(Verdict::Negative) => Some(Self::Negative),
            Some(Verdict::Equivalent) => Some(Self::Equivalent),
            Some(_) => None,
            None => verdicts::decisive_p(table, comparison)
                .is_some_and(|p| p <= 1.0 - table.confidence)
                .then_some(Self::Different),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Positive => "+",
            Self::Negative => "-",
            Self::Equivalent => "=",
            Self::Different => "*",
        }
    }

    fn latex(self) -> String {
        format!("$^{{{}}}$", self.sign())
    }

    fn meaning(self, table: &ResultsTable) -> String {
        let level = format!("at {}\\,\\%", percent(table.confidence));
        match self {
            Self::Positive => format!("positive co-learning (PCL): better than the baseline {level}"),
            Self::Negative => format!("negative co-learning (NCL): worse than the baseline {level}"),
            Self::Equivalent => "equivalent: within the margin".to_owned(),
            Self::Different => format!("different from the baseline {level}"),
        }
    }
}

/// A difference with its mark and its interval.
fn difference(table: &ResultsTable, it: &Comparison, mark: Option<Mark>, written: Numbers) -> String {
    let ends = it.interval(table.is_simultaneous());
    let text = written.difference(it, table.is_simultaneous());
    let (mean, interval) = text.split_once(' ').unwrap_or((&text, ""));
    let sign = mark.map(|mark| format!("^{{{}}}", mark.sign())).unwrap_or_default();
    let mut cell = format!("${}{sign}$", powers(mean));
    if ends.is_some() {
        let inner = interval.trim_matches(['[', ']']);
        let ends: Vec<String> = inner.split(", ").map(powers).collect();
        let _ = write!(cell, " $[{}]$", ends.join(", "));
    }
    cell
}

fn number(summary: Option<&Summary>, bold: bool, written: Numbers) -> String {
    let text = match summary.map(|summary| written.parts(summary)) {
        None => return "--".to_owned(),
        Some((mean, None)) => powers(&mean),
        Some((mean, Some(std))) => format!("{} \\pm {}", powers(&mean), powers(&std)),
    };
    if bold { format!("$\\mathbf{{{text}}}$") } else { format!("${text}$") }
}

/// A number in which an exponent is a power of ten, for formulas.
fn powers(number: &str) -> String {
    match number.split_once('e') {
        Some((mantissa, exponent)) => format!("{mantissa} \\times 10^{{{exponent}}}"),
        None => number.to_owned(),
    }
}

/// Escapes text for LaTeX.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in one_line(text).chars() {
        match character {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(character);
            }
            // At the begin of a row it would be an argument of the command before.
            '[' => escaped.push_str("{[}"),
            other => escaped.push(other),
        }
    }
    escaped
}
