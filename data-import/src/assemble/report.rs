//! The report of a successful import.

use super::Inputs;
use crate::{Division, Request, Side, labels::Labels, mistake::counted, modality::Loaded, samples::Samples};

/// The report.
#[derive(Default)]
pub(super) struct Report {
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// For the data set itself.
    pub(super) preparation: Vec<String>,
}

impl Report {
    /// Notes the conversions.
    pub(super) fn conversions(
        &mut self,
        request: &Request,
        division: &Division,
        inputs: &Inputs,
        labels: &Labels,
        steps: usize,
        samples: &Samples,
    ) {
        for loaded in &inputs.modalities {
            let Loaded { name, place, file_name, kind, .. } = loaded;
            let shape = loaded.shape();
            let conversion =
                if kind == "float32" { "float32".to_owned() } else { format!("{kind} -> float32") };
            let flat = if loaded.flat { " (2-D, read as one step)" } else { "" };
            let fitted = fitted(loaded, steps, request.pad, request.cut);
            self.notes.push(format!("{name}: {conversion}, {shape}{flat}, from {place}{fitted}"));
            self.preparation.push(format!("{name} from {file_name} ({kind}, {shape}){fitted}"));
        }
        let Some(column) = &inputs.labels else { return };
        let what = match &labels.classes {
            Some(classes) if labels.sorted => {
                format!("{} in alphabetical order", counted(classes.len(), "class"))
            }
            Some(classes) => counted(classes.len(), "class"),
            None => "values".to_owned(),
        };
        let from_one = if request.label_options.one_based { ", counted from 1 -> from 0" } else { "" };
        let line = format!("labels: {}, {what}{from_one}, from ", column.kind);
        self.notes.push(format!("{line}{}", column.place));
        self.preparation.push(format!("{line}{}", request.labels.file_name()));
        let groups = request.groups.as_ref().map_or_else(String::new, |reference| {
            format!(", groups of {} kept together", reference.file_name())
        });
        let how = match division {
            Division::Table(reference) => format!("as in {}", reference.file_name()),
            Division::Fractions { fractions: [train, valid, test], seed } => {
                format!("{train},{valid},{test} at random with seed {seed}")
            }
            Division::Folds { count, fold, seed } => {
                format!("fold {fold} of {count} with seed {seed}, validated on fold {}", (fold + 1) % count)
            }
        };
        let named = samples.named_by.as_ref().map_or_else(String::new, |place| format!(", named by {place}"));
        self.notes.push(format!("samples: {}{named}", samples.ids.len()));
        self.notes.push(format!("split: {how}{groups}"));
        self.preparation.push(format!("split {how}{groups}"));
    }

    /// Notes input that was left out or changed.
    pub(super) fn warnings(&mut self, inputs: &Inputs, zeroed: &[(String, usize)], samples: &Samples) {
        for (name, count) in zeroed {
            let text = format!("{name}: {count} NaN or infinite value(s) became 0");
            self.preparation.push(text.clone());
            self.warnings.push(text);
        }
        let folder = inputs.modalities.iter().find(|it| it.ids.is_some());
        for loaded in &inputs.modalities {
            let Loaded { name, place, ids, ignored, faults, .. } = loaded;
            if faults.rounded > 0 {
                let many = counted(faults.rounded, "integer");
                self.warnings.push(format!("{name}: {many} beyond 16777216 rounded to the next float32"));
            }
            if *ignored > 0 {
                let many = counted(*ignored, "entry");
                self.warnings.push(format!("{place}: left out {many} without the ending .npy"));
            }
            let unused = ids.as_ref().map_or(0, |ids| samples.unused(ids));
            if unused > 0 {
                self.warnings.push(format!("{place}: left out {} of no sample", counted(unused, "file")));
            }
            if let (None, Some(folder), None) = (ids, folder, &inputs.ids) {
                self.warnings.push(format!(
                    "{name}: {place} names no samples; they are taken to be in the order of the file names in {} (--ids says another order)",
                    folder.place
                ));
            }
            let empty = loaded.lengths.iter().filter(|steps| **steps == 0).count();
            if empty > 0 {
                self.warnings
                    .push(format!("{name}: {} without a time step, all padding", counted(empty, "sample")));
            }
        }
        for column in [&inputs.labels, &inputs.split, &inputs.groups].into_iter().flatten() {
            let unused = column.ids.as_ref().map_or(0, |ids| samples.unused(ids));
            if unused > 0 {
                self.warnings.push(format!(
                    "{}: left out {} of no sample",
                    column.place,
                    counted(unused, "row")
                ));
            }
        }
    }
}

/// Describes how a modality is padded and cut.
fn fitted(loaded: &Loaded, steps: usize, pad: Side, cut: Side) -> String {
    let side = |side| if side == Side::Front { "in front" } else { "at the end" };
    let shorter = loaded.lengths.iter().filter(|length| **length < steps).count();
    let longer = loaded.lengths.iter().filter(|length| **length > steps).count();
    let mut text = String::new();
    if shorter > 0 {
        text += &format!(", {shorter} padded to {steps} steps {}", side(pad));
    }
    if longer > 0 {
        text += &format!(", {longer} cut to {steps} steps {}", side(cut));
    }
    text
}
