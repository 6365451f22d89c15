//! Checks across the parts of a sweep file that runs a program.

use super::{
    diagnostic::{Problems, Span},
    file::Outline,
    mentions::Mentions,
    point::Point,
    scalar::did_you_mean,
};
use crate::settings::{
    ResultSource,
    placeholders::{Placeholder, check_placeholders, placeholders},
};

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
    check_templates(outline, &everywhere, problems);
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
    let mut passes_seed = outline.seeds.len() == 1;
    for (text, span) in &program.templates {
        let known = everywhere.iter().map(String::as_str);
        match check_placeholders(text, known) {
            Err(error) => {
                problems.error(within(*span, text, error.range, problems), error.what).help(error.help);
            }
            Ok(()) => {
                let found = placeholders(text).unwrap_or_default();
                for (_, placeholder) in found {
                    passes_settings |= matches!(placeholder, Placeholder::Args | Placeholder::Parameter(_));
                    passes_seed |= matches!(placeholder, Placeholder::Args | Placeholder::Seed);
                }
            }
        }
    }
    if problems.errors() > 0 {
        return;
    }
    if let [_, option, script, after @ ..] = program.settings.command.as_slice()
        && option == "-c"
        && after.iter().any(|word| word == "${args}")
        && !["$@", "$*", "$0", "$1"].iter().any(|argument| script.contains(argument))
    {
        problems
            .warning(program.command_span, "the shell's script does not use the arguments that follow it")
            .help("write `${args}` into the script: `[sh, -c, \"python3 train.py ${args}\"]`");
    }
    if passes_settings && !passes_seed {
        problems.warning(program.command_span, "the command does not pass the seed to the program").help(
            "all seeds give the same result, unless the program reads COLEARN_SEED; add `${seed}`, or set `seeds: {count: 1}`",
        );
    }
    check_groups(outline, problems);
    if !passes_settings {
        problems.warning(program.command_span, "the command does not pass the settings to the program").help(
            "add \"${args}\" to the command, unless the program reads the file that COLEARN_TASK names",
        );
    }
}

/// Metrics that the pattern cannot give must come from the file of metrics.
fn check_groups(outline: &Outline, problems: &mut Problems<'_>) {
    let Some(program) = &outline.program else { return };
    let Some(ResultSource::Pattern(pattern)) = &program.settings.result else { return };
    let Ok(pattern) = regex::Regex::new(pattern) else { return };
    let groups: Vec<&str> = pattern.capture_names().flatten().collect();
    let missing = outline.report.metrics.iter().filter(|name| !groups.contains(&name.as_str()));
    let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        problems
            .warning(
                program.result_span,
                format!("`report.metrics` names {}, which the pattern does not have", missing.join(", ")),
            )
            .help("a task without it fails, unless the program writes it to the file that COLEARN_METRICS names");
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
