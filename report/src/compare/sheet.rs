//! Comparisons as tables and for programs.

use colearn_core::{
    result::Direction,
    statistics::{Estimate, Summary},
    text::counted_len,
};
use serde_json::{Value, json};

use super::{Across, AcrossMetric, AcrossRow, PairRow, Pairs};
use crate::{
    cells::{p_value, percent},
    numbers::Numbers,
    text::{
        csv::{cell, digits, write_records},
        markdown_escape as escape, markdown_line as line,
    },
};

/// A table for people.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// What it is about.
    pub title: String,
    /// The headings of its columns. The first column has words, the others numbers.
    pub heading: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// How to read it.
    pub notes: Vec<String>,
}

impl Sheet {
    /// The table as Markdown, with its title and notes.
    #[must_use]
    pub fn markdown(&self) -> String {
        let rule: Vec<String> =
            (0..self.heading.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()).collect();
        let mut text = format!("{}\n\n{}{}", escape(&self.title), line(&self.heading), line(&rule));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        for note in &self.notes {
            text += &format!("\n{}\n", escape(note));
        }
        text
    }
}

/// Records as comma-separated values; numbers with all their digits.
#[must_use]
pub fn csv(records: &[Vec<Value>]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), digits),
        value => cell(value),
    };
    let mut bytes = Vec::new();
    let records = records.iter().map(|record| record.iter().map(cell).collect());
    write_records(&mut bytes, records).expect("records of equal length written to memory");
    String::from_utf8(bytes).expect("all cells are UTF-8")
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn estimate(estimate: Option<&Estimate>, numbers: Numbers) -> String {
    let Some(it) = estimate else { return "-".to_owned() };
    match it.ci_low.zip(it.ci_high) {
        None => numbers.plain(it.value),
        Some((low, high)) => {
            format!("{} [{}, {}]", numbers.plain(it.value), numbers.plain(low), numbers.plain(high))
        }
    }
}

fn better(direction: Direction) -> String {
    format!("{} is better", direction.as_str())
}

impl Pairs {
    /// One table for each metric.
    #[must_use]
    pub fn sheets(&self) -> Vec<Sheet> {
        let mut metrics: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !metrics.contains(&row.metric.as_str()) {
                metrics.push(&row.metric);
            }
        }
        metrics.into_iter().map(|metric| self.sheet(metric)).collect()
    }

    fn sheet(&self, metric: &str) -> Sheet {
        let rows: Vec<&PairRow> = self.rows.iter().filter(|row| row.metric == metric).collect();
        let direction = rows.first().map_or(Direction::Higher, |row| row.better);
        let title = match &self.second {
            Some(second) => format!("{metric}: {second} (second) against {} (first)", self.first),
            None => format!("{metric}: each (second) against {} (first)", self.first),
        };
        Sheet {
            title: format!("{title}; {}", better(direction)),
            heading: words(&[
                "configuration",
                "first",
                "second",
                "pairs",
                "difference",
                "t p",
                "Welch p",
                "r",
            ]),
            rows: rows.into_iter().map(|row| cells(row, self.numbers)).collect(),
            notes: Vec::new(),
        }
    }

    /// How to read the tables.
    #[must_use]
    pub fn legend(&self) -> String {
        format!(
            "mean ± sample standard deviation over all seeds of each; difference: second minus first, the mean over the pairs (equal seeds), with its {} % interval; t p: paired t-test; Welch p: Welch's test over all seeds, without pairs; r: correlation of the pairs; p-values are not corrected for the number of comparisons",
            percent(self.confidence)
        )
    }

    /// Everything, for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let side = |summary: Option<Summary>, n: usize| json!({ "n": n, "summary": summary });
        let row = |row: &PairRow| {
            json!({
                "name": row.name,
                "metric": row.metric,
                "better": row.better,
                "first": row.first,
                "second": row.second,
                "first_results": side(row.first_summary, row.first_n),
                "second_results": side(row.second_summary, row.second_n),
                "comparison": row.comparison.map(|it| json!({
                    "pairs": it.pairs,
                    "mean_difference": it.mean_difference,
                    "ci_low": it.ci_low,
                    "ci_high": it.ci_high,
                    "deviation": it.deviation,
                    "effect_size": it.effect_size,
                    "correlation": it.correlation,
                    "t_p": it.t_p,
                    "wilcoxon_p": it.wilcoxon_p,
                })),
                "welch_p": row.welch_p,
            })
        };
        json!({
            "kind": "pairs",
            "first": self.first,
            "second": self.second,
            "confidence": self.confidence,
            "comparisons": self.rows.iter().map(row).collect::<Value>(),
            "warnings": self.warnings,
        })
    }

    /// One record for each pair and metric.
    #[must_use]
    pub fn records(&self) -> Vec<Vec<Value>> {
        let heading = json!([
            "name",
            "first",
            "second",
            "metric",
            "better",
            "first_n",
            "first_mean",
            "first_std",
            "second_n",
            "second_mean",
            "second_std",
            "pairs",
            "mean_difference",
            "ci_low",
            "ci_high",
            "effect_size",
            "correlation",
            "t_p",
            "wilcoxon_p",
            "welch_p"
        ]);
        let record = |row: &PairRow| {
            let it = row.comparison;
            json!([
                row.name,
                row.first,
                row.second,
                row.metric,
                row.better,
                row.first_n,
                row.first_summary.map(|it| it.mean),
                row.first_summary.and_then(|it| it.std),
                row.second_n,
                row.second_summary.map(|it| it.mean),
                row.second_summary.and_then(|it| it.std),
                it.map_or(0, |it| it.pairs),
                it.map(|it| it.mean_difference),
                it.and_then(|it| it.ci_low),
                it.and_then(|it| it.ci_high),
                it.and_then(|it| it.effect_size),
                it.and_then(|it| it.correlation),
                it.and_then(|it| it.t_p),
                it.and_then(|it| it.wilcoxon_p),
                row.welch_p
            ])
        };
        std::iter::once(heading).chain(self.rows.iter().map(record)).filter_map(list).collect()
    }
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn cells(row: &PairRow, numbers: Numbers) -> Vec<String> {
    let comparison = row.comparison.as_ref();
    let correlation = comparison.and_then(|it| it.correlation);
    let difference = match comparison {
        None => "-".to_owned(),
        Some(it) => {
            let why = it.untested.map(|why| format!(" ({})", why.as_str())).unwrap_or_default();
            numbers.difference(it, false) + &why
        }
    };
    vec![
        row.name.clone(),
        numbers.mean_and_deviation(row.first_summary.as_ref()),
        numbers.mean_and_deviation(row.second_summary.as_ref()),
        comparison.map_or(0, |it| it.pairs).to_string(),
        difference,
        p_value(comparison.and_then(|it| it.t_p)),
        p_value(row.welch_p),
        correlation.map_or_else(|| "-".to_owned(), |r| format!("{r:+.2}")),
    ]
}

impl Across {
    /// Two tables for each metric: the estimates, and the performance profiles.
    #[must_use]
    pub fn sheets(&self) -> Vec<Sheet> {
        self.metrics
            .iter()
            .flat_map(|metric| [self.estimates(metric), profile(metric, self.numbers)])
            .collect()
    }

    fn estimates(&self, metric: &AcrossMetric) -> Sheet {
        let mut heading = words(&["configuration", "n"]);
        heading.extend(self.sweeps.clone());
        heading.extend(words(&["interquartile mean", "P(better than baseline)", "average rank"]));
        let rank = |at: usize| {
            let average = metric.ranks.as_ref().and_then(|ranks| ranks.average.get(at));
            average.map_or_else(|| "-".to_owned(), |rank| format!("{rank:.2}"))
        };
        let row = |(at, row): (usize, &AcrossRow)| {
            let mut cells = vec![row.name.clone(), row.n.to_string()];
            let mean = |mean: &Option<f64>| mean.map_or_else(|| "-".to_owned(), |it| self.numbers.plain(it));
            cells.extend(row.means.iter().map(mean));
            cells.push(estimate(row.interquartile_mean.as_ref(), self.numbers));
            cells.push(match self.baseline.as_deref() == Some(&row.name) {
                true => "baseline".to_owned(),
                false => estimate(row.improvement.as_ref(), Numbers::Decimals),
            });
            cells.push(rank(at));
            cells
        };
        Sheet {
            title: format!("{}, {}", metric.metric, better(metric.better)),
            heading,
            rows: metric.rows.iter().enumerate().map(row).collect(),
            notes: self.rank_notes(metric),
        }
    }

    fn rank_notes(&self, metric: &AcrossMetric) -> Vec<String> {
        let Some(ranks) = &metric.ranks else {
            return vec!["no ranks: a sweep has no result of one of the configurations".to_owned()];
        };
        let mut notes = Vec::new();
        if let Some(friedman) = ranks.friedman {
            notes.push(format!(
                "ranks over {}: Friedman's chi-squared {friedman:.2}, p {}, with Iman and Davenport's correction p {}",
                counted_len(ranks.data_sets, "sweep"),
                p_value(ranks.friedman_p),
                p_value(ranks.iman_davenport_p)
            ));
        }
        if let Some(difference) = ranks.critical_difference.filter(|_| ranks.average.len() > 1) {
            notes.push(format!(
                "average ranks that differ by more than {difference:.2} are different at {} % (Nemenyi)",
                percent(self.confidence)
            ));
        }
        if ranks.data_sets < 5 {
            notes.push("tests of ranks over fewer than five sweeps find little".to_owned());
        }
        notes
    }

    /// How to read the tables.
    #[must_use]
    pub fn legend(&self) -> String {
        format!(
            "means of each sweep; interquartile mean: that of all results without the highest and the lowest quarter; P: probability that a result is better than one of the baseline in the same sweep, with equal ones counted half; {} % intervals of 2000 bootstrap samples, drawn within each sweep (Agarwal et al. 2021); average rank of the means, 1 is the best (Demsar 2006)",
            percent(self.confidence)
        )
    }

    /// Everything, for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |metric: &AcrossMetric, at: usize, row: &AcrossRow| {
            let means = self.sweeps.iter().cloned().zip(row.means.iter().map(|mean| json!(mean)));
            let rank = metric.ranks.as_ref().and_then(|ranks| ranks.average.get(at));
            json!({
                "name": row.name,
                "n": row.n,
                "means": means.collect::<serde_json::Map<String, Value>>(),
                "interquartile_mean": row.interquartile_mean,
                "probability_of_improvement": row.improvement,
                "average_rank": rank,
                "profile": row.profile,
            })
        };
        let metric = |metric: &AcrossMetric| {
            let rows = metric.rows.iter().enumerate().map(|(at, it)| row(metric, at, it));
            json!({
                "metric": metric.metric,
                "better": metric.better,
                "configurations": rows.collect::<Value>(),
                "thresholds": metric.thresholds,
                "friedman": metric.ranks.as_ref().and_then(|it| it.friedman),
                "friedman_p": metric.ranks.as_ref().and_then(|it| it.friedman_p),
                "iman_davenport_p": metric.ranks.as_ref().and_then(|it| it.iman_davenport_p),
                "critical_difference": metric.ranks.as_ref().and_then(|it| it.critical_difference),
            })
        };
        json!({
            "kind": "across",
            "sweeps": self.sweeps,
            "baseline": self.baseline,
            "confidence": self.confidence,
            "metrics": self.metrics.iter().map(metric).collect::<Value>(),
            "warnings": self.warnings,
        })
    }

    /// One record for each metric and configuration.
    #[must_use]
    pub fn records(&self) -> Vec<Vec<Value>> {
        let mut heading = words(&["metric", "better", "name", "n"]);
        heading.extend(self.sweeps.iter().map(|sweep| format!("mean_{sweep}")));
        heading.extend(words(&[
            "interquartile_mean",
            "interquartile_mean_ci_low",
            "interquartile_mean_ci_high",
            "probability_of_improvement",
            "probability_of_improvement_ci_low",
            "probability_of_improvement_ci_high",
            "average_rank",
            "friedman_p",
            "iman_davenport_p",
            "critical_difference",
        ]));
        let mut records = vec![heading.into_iter().map(Value::from).collect()];
        for metric in &self.metrics {
            let ranks = metric.ranks.as_ref();
            for (at, row) in metric.rows.iter().enumerate() {
                let mut cells =
                    vec![json!(metric.metric), json!(metric.better), json!(row.name), json!(row.n)];
                cells.extend(row.means.iter().map(|mean| json!(mean)));
                for estimate in [row.interquartile_mean, row.improvement] {
                    cells.push(json!(estimate.map(|it| it.value)));
                    cells.push(json!(estimate.and_then(|it| it.ci_low)));
                    cells.push(json!(estimate.and_then(|it| it.ci_high)));
                }
                cells.push(json!(ranks.and_then(|it| it.average.get(at))));
                cells.push(json!(ranks.and_then(|it| it.friedman_p)));
                cells.push(json!(ranks.and_then(|it| it.iman_davenport_p)));
                cells.push(json!(ranks.and_then(|it| it.critical_difference)));
                records.push(cells);
            }
        }
        records
    }
}

/// The share of results beyond every second threshold.
fn profile(metric: &AcrossMetric, numbers: Numbers) -> Sheet {
    let inner: Vec<usize> = (1..metric.thresholds.len().saturating_sub(1)).step_by(2).collect();
    let sign = if metric.better == Direction::Higher { ">" } else { "<" };
    let mut heading = words(&["configuration"]);
    let threshold = |at: &usize| metric.thresholds.get(*at).copied().map(|it| numbers.plain(it));
    heading.extend(inner.iter().filter_map(threshold).map(|threshold| format!("{sign} {threshold}")));
    let row = |row: &AcrossRow| {
        let share = |at: &usize| row.profile.get(*at).map(|share| format!("{share:.2}"));
        std::iter::once(row.name.clone()).chain(inner.iter().filter_map(share)).collect()
    };
    Sheet {
        title: format!("{}: performance profile, the share of results beyond a value", metric.metric),
        heading,
        rows: metric.rows.iter().map(row).collect(),
        notes: Vec::new(),
    }
}
