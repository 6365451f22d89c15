//! Checks across the parts of a sweep file that runs a program.

use super::{
    diagnostic::{Problems, Span},
    file::Outline,
    mentions::Mentions,
    point::Point,
    scalar::did_you_mean,
};
use crate::settings::placeholders::{Placeholder, check_placeholders, placeholders};

/// Adds the names that only `include` gives, and checks names, placeholders and metrics.
pub(crate) fn check(outline: &mut Outline, mentions: &Mentions, problems: &mut Problems<'_>) {
    // The parameters and settings that every configuration has.
    let everywhere = outline.own_names.clone();
    for point in &outline.include {
        for (name, _) in &point.names {
            if !outline.own_names.contains(name) {
                outline.own_names.push(name.clone());
            }
        }
    }
    for point in outline.exclude.iter().chain(&outline.baseline) {
        check_names(point, &outline.own_names, problems);
    }
    check_templates(outline, &everywhere, problems);
    match mentions.named_metrics() {
        Some(metrics) => {
            for (name, span) in mentions.directed().iter().filter(|(name, _)| !metrics.contains(name)) {
                problems
                    .error(*span, format!("`report.better` names `{name}`, which is not in `report.metrics`"))
                    .maybe_help(did_you_mean(name, metrics.iter().map(String::as_str)));
            }
            outline.report.metrics = metrics;
        }
        None => {
            problems
                .error(Span::default(), "`report.metrics` is missing")
                .help("name the metrics that the program reports: `report: {metrics: [accuracy, loss]}`");
        }
    }
}

fn check_names(point: &Point, known: &[String], problems: &mut Problems<'_>) {
    for (name, span) in point.names.iter().filter(|(name, _)| !known.contains(name)) {
        problems
            .error(*span, format!("`{name}` is neither in `parameters` nor in `settings`"))
            .maybe_help(did_you_mean(name, known.iter().map(String::as_str)));
    }
}

fn check_templates(outline: &Outline, everywhere: &[String], problems: &mut Problems<'_>) {
    let Some(program) = &outline.program else { return };
    let mut passes_settings = everywhere.is_empty();
    for (text, span) in &program.templates {
        let known = everywhere.iter().map(String::as_str);
        match check_placeholders(text, known) {
            Err(error) => {
                problems.error(within(*span, text, error.range, problems), error.what).help(error.help);
            }
            Ok(()) => {
                let found = placeholders(text).unwrap_or_default();
                passes_settings |= found.iter().any(|(_, placeholder)| {
                    matches!(placeholder, Placeholder::Args | Placeholder::Parameter(_))
                });
            }
        }
    }
    if !passes_settings && problems.errors() == 0 {
        problems.warning(program.command_span, "the command does not pass the settings to the program").help(
            "add \"${args}\" to the command, unless the program reads the file that COLEARN_TASK names",
        );
    }
}

/// The position of a part of a text, if the text is written in the file as it is; otherwise that of the text.
fn within(span: Span, text: &str, range: std::ops::Range<usize>, problems: &Problems<'_>) -> Span {
    let written = problems.source.text.get(span.start..span.end).unwrap_or_default();
    match written.find(text) {
        Some(at) => Span { start: span.start + at + range.start, end: span.start + at + range.end },
        None => span,
    }
}
