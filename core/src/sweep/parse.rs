//! Converts the text of a sweep file to a validated sweep.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    blanks,
    definition::Sweep,
    diagnostic::{Diagnostic, Diagnostics, Problems, SweepSource},
    expand, file, raw,
};
use crate::settings::{TaskSettings, schema};

/// A valid sweep file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The sweep.
    pub sweep: Sweep,
    /// Warnings about parts without effect, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// The settings outside of `parameters` and `include`, with the defaults of the others.
    pub base: TaskSettings,
    /// The settings that the file itself gives, by their dotted paths, also those without effect.
    pub set: BTreeMap<String, Value>,
}

impl Sweep {
    /// The same as [`Self::parse_in`], for a file whose folder is not known: a program needs an absolute folder then.
    ///
    /// # Errors
    /// As [`Self::parse_in`].
    pub fn parse(source: &str, origin: &str) -> Result<Parsed, Diagnostics> {
        Self::parse_in(source, origin, "")
    }

    /// Reads, checks and expands a sweep file. `origin` is its name, for messages; `folder` is the absolute path of
    /// its folder, in which a program runs unless the file names another.
    ///
    /// # Errors
    /// If the text is not a valid sweep. The error has all problems, each with its position. Only a text that is not
    /// YAML ends at the first error.
    pub fn parse_in(source: &str, origin: &str, folder: &str) -> Result<Parsed, Diagnostics> {
        let source = SweepSource::new(source, origin);
        let mut problems = Problems::new(&source);
        let root = raw::read(&mut problems);
        blanks::warn(&mut problems);
        let Some(root) = root else { return Err(problems.fail()) };
        let mut outline = file::read(&root, &mut problems);
        if let Some(program) = &mut outline.program {
            program.locate(folder, &mut problems);
        }
        // A parameter with an error has no values, so a size would be wrong.
        if outline.parameters.iter().all(|parameter| !parameter.values.is_empty()) {
            expand::check_size(&outline, &mut problems);
        }
        if problems.errors() > 0 {
            return Err(problems.fail());
        }
        let configurations = expand::expand(&outline, &mut problems);
        let base = outline.settings(&outline.base);
        let needs = outline.program.as_ref().map(|program| program.needs.clone()).unwrap_or_default();
        let (Some(name), 0) = (outline.name, problems.errors()) else { return Err(problems.fail()) };
        Ok(Parsed {
            sweep: Sweep {
                name,
                parameters: outline.parameters.into_iter().map(|parameter| parameter.path).collect(),
                configurations,
                seeds: outline.seeds,
                report: outline.report,
                retries: outline.retries,
                checkpoint: outline.checkpoint,
                keep: outline.keep,
                schedule: outline.schedule,
                needs,
            },
            warnings: problems.finish().0,
            base,
            set: outline.base,
        })
    }

    /// The modalities that the sweep names: as primary, as dropped or evaluated, or with their own width. The data
    /// set must have all of them.
    #[must_use]
    pub fn modalities_named(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for configuration in &self.configurations {
            names.extend(configuration.settings.modalities_named().map(|(_, name)| name));
            names.extend(configuration.values.keys().filter_map(|path| schema::field(path)?.modality(path)));
        }
        names
    }
}
