//! From files to a data set. Everything is read and checked before the first mistake is reported.

use colearn_data_format::{Description, Modality, Names, NewDataset, NewLabels, NewSplit, Split, Task};
use sha2::{Digest as _, Sha256};

use crate::{
    Division, ImportError, Imported, Reference, Request, Side,
    labels::{self, Labels},
    mistake::{Mistake, Mistakes, counted, some},
    modality::{self, Loaded},
    samples::Samples,
    split,
    standardize::{Part, standardize},
    table::{self, Column, Role, Values},
};

mod report;

use report::Report;

/// The longest name of a modality, as in the format.
const MAX_NAME_BYTES: usize = 64;

/// Makes a data set.
///
/// # Errors
/// Every mistake that can be found, each with its place.
pub fn import(request: &Request) -> Result<Imported, ImportError> {
    let mut imported = import_each(request, vec![request.division.clone()])?;
    imported.next().ok_or_else(unexplained)
}

/// Makes a data set for each division, instead of that of the request: everything is read once, and nothing is made
/// unless all of them can be. A division by a table is read only if it is that of the request.
///
/// # Errors
/// As [`import`].
pub fn import_each(
    request: &Request,
    divisions: Vec<Division>,
) -> Result<impl Iterator<Item = Imported> + '_, ImportError> {
    let mut mistakes = Mistakes::default();
    check_names(request, &mut mistakes);
    mistakes.keep(split::check(&request.division));
    let mut inputs = Inputs::read(request, &mut mistakes);
    let zeroed = inputs.zero_non_finite(request);
    let steps = inputs.common_steps(request, &mut mistakes);
    let tables: Vec<&Column> =
        [&inputs.labels, &inputs.split, &inputs.groups].into_iter().flatten().collect();
    let samples = Samples::find(&inputs.modalities, inputs.ids.clone(), &tables, &mut mistakes);

    for loaded in &inputs.modalities {
        let own = loaded.ids.clone().map(|ids| Samples { ids, named_by: Some(loaded.place.clone()) });
        let fits = samples.clone().filter(|samples| samples.ids.len() == loaded.samples());
        let names = own.or(fits).unwrap_or_else(|| Samples::counted(loaded.samples()));
        for mistake in modality::faults(loaded, &|sample| names.name(sample)) {
            mistakes.add(mistake);
        }
    }
    let labels = inputs.labels.as_ref().and_then(|column| {
        let (values, names) = aligned(column, samples.as_ref(), &mut mistakes)?;
        labels::interpret(&column.place, values, &names, &request.label_options, &mut mistakes)
    });
    let groups = inputs.groups.as_ref().and_then(|column| {
        let (values, _) = aligned(column, samples.as_ref(), &mut mistakes)?;
        Some((column.place.as_str(), values.into_texts()))
    });
    let rows = samples.as_ref().map(|samples| {
        let row = |loaded: &Loaded| samples.rows(loaded.ids.as_deref(), &loaded.place, "file");
        inputs.modalities.iter().map(|loaded| mistakes.keep(row(loaded))).collect::<Option<Vec<_>>>()
    });
    let mut found = Vec::new();
    let mut splits = Vec::new();
    for division in &divisions {
        let mut own = Mistakes::default();
        splits.push(divided(division, &inputs, samples.as_ref(), groups.as_ref(), &mut own));
        if let (Some(labels), Some(Some(splits))) = (&labels, splits.last()) {
            check_classes(&inputs, labels, splits, &mut own);
        }
        found.push(own.all());
    }
    add_of_divisions(&divisions, found, &mut mistakes);
    mistakes.none()?;

    // Without a mistake, all of them are present.
    let (Some(samples), Some(labels), Some(Some(rows)), Some(steps)) = (samples, labels, rows, steps) else {
        return Err(unexplained());
    };
    let splits: Vec<Vec<Split>> = splits.into_iter().collect::<Option<_>>().ok_or_else(unexplained)?;
    let groups: Option<Vec<String>> = groups.map(|(_, names)| names);
    let digests = digests(&inputs.modalities, &rows, samples.ids.len());
    Ok(divisions.into_iter().zip(splits).map(move |(division, splits)| {
        let mut report = Report::default();
        report.conversions(request, &division, &inputs, &labels, steps, &samples);
        report.warnings(&inputs, &zeroed, &samples);
        report.warnings.extend(split::leaks(&samples, &splits, &digests));
        let mut dataset = assemble(request, &inputs, &rows, &labels, &splits, steps, &mut report);
        dataset.names = samples.names(groups.as_deref(), &splits);
        Imported { dataset, notes: report.notes, warnings: report.warnings }
    }))
}

fn unexplained() -> ImportError {
    let mistake = Mistake::new("colearn data import", "an input is missing, and no mistake explains why");
    ImportError { mistakes: vec![mistake] }
}

/// Adds the mistakes of each division: once if every division has it, otherwise with the fold.
fn add_of_divisions(divisions: &[Division], found: Vec<Vec<Mistake>>, mistakes: &mut Mistakes) {
    let everywhere = |mistake: &Mistake| found.iter().all(|of_one| of_one.contains(mistake));
    for (at, (division, of_one)) in divisions.iter().zip(&found).enumerate() {
        for mistake in of_one {
            match division {
                _ if everywhere(mistake) && at > 0 => {}
                Division::Folds { fold, .. } if !everywhere(mistake) => {
                    let problem = format!("with fold {fold} for test: {}", mistake.problem);
                    mistakes.add(Mistake { problem, ..mistake.clone() });
                }
                _ => mistakes.add(mistake.clone()),
            }
        }
    }
}

fn check_names(request: &Request, mistakes: &mut Mistakes) {
    for (at, (name, reference)) in request.modalities.iter().enumerate() {
        let place = format!("--modality {name}={reference}");
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
            let problem = format!("a name has letters, digits, `-` and `_`, at most {MAX_NAME_BYTES}");
            mistakes.add(
                Mistake::new(&place, problem).help("sweep files use it, as in `modality_dropout.audio`"),
            );
        }
        if name == "labels" {
            mistakes
                .add(Mistake::new(&place, "`labels` is the name of the labels").help("--labels names them"));
        }
        if request.modalities[..at].iter().any(|(other, _)| other == name) {
            mistakes.add(
                Mistake::new(&place, "a modality of that name was given before").help("give it another name"),
            );
        }
    }
    if request.modalities.is_empty() {
        mistakes.add(Mistake::new("--modality", "no modality is given").help("--modality audio=audio.npy"));
    }
    if request.steps == Some(0) {
        mistakes.add(Mistake::new("--steps 0", "a sample has at least one step"));
    }
}

/// Everything that was read.
struct Inputs {
    modalities: Vec<Loaded>,
    /// Whether every modality could be read.
    complete: bool,
    labels: Option<Column>,
    split: Option<Column>,
    groups: Option<Column>,
    ids: Option<Column>,
}

impl Inputs {
    fn read(request: &Request, mistakes: &mut Mistakes) -> Self {
        let mut modalities = Vec::new();
        for (name, reference) in &request.modalities {
            match modality::load(name, reference) {
                Ok(loaded) => modalities.push(loaded),
                Err(found) => found.into_iter().for_each(|mistake| mistakes.add(mistake)),
            }
        }
        let mut column = |reference: Option<&Reference>, role| {
            reference.and_then(|reference| mistakes.keep(table::read(reference, role)))
        };
        let division = match &request.division {
            Division::Table(reference) => Some(reference),
            _ => None,
        };
        Self {
            complete: modalities.len() == request.modalities.len(),
            modalities,
            labels: column(Some(&request.labels), Role::Labels),
            split: column(division, Role::Split),
            groups: column(request.groups.as_ref(), Role::Groups),
            ids: column(request.ids.as_ref(), Role::Ids),
        }
    }

    /// How many values of each modality became zero.
    fn zero_non_finite(&mut self, request: &Request) -> Vec<(String, usize)> {
        if !request.nan_as_zero {
            return Vec::new();
        }
        let zeroed = self.modalities.iter_mut().map(|loaded| (loaded.name.clone(), loaded.zero_non_finite()));
        zeroed.filter(|(_, count)| *count > 0).collect()
    }

    fn common_steps(&self, request: &Request, mistakes: &mut Mistakes) -> Option<usize> {
        if self.modalities.is_empty() || !self.complete && request.steps.is_none() {
            return None;
        }
        mistakes.keep(modality::common_steps(&self.modalities, request.steps))
    }
}

/// A column in the order of the samples. If the samples are not known, in its own order, so that mistakes in the values
/// are reported too.
fn aligned(column: &Column, samples: Option<&Samples>, mistakes: &mut Mistakes) -> Option<(Values, Samples)> {
    if let Some(samples) = samples
        && let Some(values) = mistakes.keep(samples.align(column))?
    {
        return Some((values, samples.clone()));
    }
    let own = match &column.ids {
        Some(ids) => Samples { ids: ids.clone(), named_by: Some(column.file.clone()) },
        None => Samples::counted(column.values.len()),
    };
    Some((column.values.clone(), own))
}

fn divided(
    division: &Division,
    inputs: &Inputs,
    samples: Option<&Samples>,
    groups: Option<&(&str, Vec<String>)>,
    mistakes: &mut Mistakes,
) -> Option<Vec<Split>> {
    let (place, splits) = match (division, &inputs.split) {
        (Division::Table(_), column) => {
            let column = column.as_ref()?;
            let (values, names) = aligned(column, samples, mistakes)?;
            let splits = mistakes.keep(split::named(&column.place, values, &names))?;
            (column.place.clone(), splits)
        }
        (division, _) => {
            split::check(division).ok()?;
            let names = groups.map(|(_, names)| &names[..]);
            let splits = mistakes.keep(split::divide(division, samples?, names))?;
            ("--split".to_owned(), splits)
        }
    };
    let groups =
        groups.map(|(place, names)| (*place, &names[..])).filter(|(_, names)| names.len() == splits.len());
    split::check_division(&place, &splits, groups, mistakes);
    Some(splits)
}

/// A class that training never shows cannot be learned.
fn check_classes(inputs: &Inputs, labels: &Labels, splits: &[Split], mistakes: &mut Mistakes) {
    let (NewLabels::Classes(indices), Some(names)) = (&labels.labels, &labels.classes) else { return };
    // Wrong numbers were reported before.
    if indices.len() != splits.len() || !splits.contains(&Split::Train) {
        return;
    }
    let mut counts = vec![[0; 3]; names.len()];
    for (label, split) in indices.iter().zip(splits) {
        if let Some(counts) = usize::try_from(*label).ok().and_then(|label| counts.get_mut(label)) {
            counts[*split as usize] += 1;
        }
    }
    let unseen: Vec<String> = names
        .iter()
        .zip(&counts)
        .filter(|(_, counts)| counts[0] == 0)
        .map(|(name, [_, valid, test])| format!("{name} ({valid} valid, {test} test)"))
        .collect();
    if !unseen.is_empty() {
        let place = inputs.labels.as_ref().map_or_else(String::new, |column| column.place.clone());
        let problem =
            format!("{} without a training sample: {}", counted(unseen.len(), "class"), some(unseen));
        mistakes.add(Mistake::new(place, problem).help(
            "choose another split (another --split-seed, a larger training share), or remove the class from the labels and --class-names",
        ));
    }
}

/// A digest of each sample's content in all modalities.
fn digests(modalities: &[Loaded], rows: &[Vec<usize>], count: usize) -> Vec<[u8; 32]> {
    let digest = |sample: usize| {
        let mut hasher = Sha256::new();
        let mut bytes = Vec::new();
        for (loaded, rows) in modalities.iter().zip(rows) {
            let values = loaded.sample(rows[sample]);
            bytes.clear();
            bytes.extend((values.len() as u64).to_le_bytes());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&bytes);
        }
        hasher.finalize().into()
    };
    (0..count).map(digest).collect()
}

fn assemble(
    request: &Request,
    inputs: &Inputs,
    rows: &[Vec<usize>],
    labels: &Labels,
    splits: &[Split],
    steps: usize,
    report: &mut Report,
) -> NewDataset {
    let members =
        Split::ALL.map(|split| (0..splits.len()).filter(|at| splits[*at] == split).collect::<Vec<_>>());
    let mut features: [Vec<Vec<f32>>; 3] = Default::default();
    for (loaded, rows) in inputs.modalities.iter().zip(rows) {
        let size = steps * loaded.dim;
        let mut fitted = members.each_ref().map(|members| {
            let mut values = Vec::with_capacity(members.len() * size);
            members.iter().for_each(|at| loaded.fit(rows[*at], steps, request.pad, request.cut, &mut values));
            values
        });
        if request.standardize {
            let [train, valid, test] = &mut fitted;
            let part = |values, members: &[usize]| part(loaded, rows, members, values, size, request.pad);
            let mut parts = [part(train, &members[0]), part(valid, &members[1]), part(test, &members[2])];
            let scaled = standardize(&mut parts, steps, loaded.dim);
            let constant = match scaled.constant {
                0 => String::new(),
                constant => format!("; {constant} of {} features do not vary there and become 0", loaded.dim),
            };
            let padding = match scaled.padding {
                0 => String::new(),
                padding => format!("; its {} of padding stay 0", counted(padding, "step")),
            };
            report.notes.push(format!(
                "{}: standardized over the {} steps of the training part{padding}{constant}",
                loaded.name, scaled.present
            ));
        }
        for (split, values) in features.iter_mut().zip(fitted) {
            split.push(values);
        }
    }
    if request.standardize {
        report.preparation.push("standardized by feature over the training part".to_owned());
    }
    let mut new = members.iter().zip(features).map(|(members, features)| NewSplit {
        features,
        labels: match &labels.labels {
            NewLabels::Classes(all) => NewLabels::Classes(members.iter().map(|at| all[*at]).collect()),
            NewLabels::Values(all) => NewLabels::Values(members.iter().map(|at| all[*at]).collect()),
        },
    });
    let mut next =
        || new.next().unwrap_or(NewSplit { features: Vec::new(), labels: NewLabels::Values(Vec::new()) });
    let (train, valid, test) = (next(), next(), next());
    let preparation = request
        .preparation
        .clone()
        .unwrap_or_else(|| format!("colearn data import: {}", report.preparation.join("; ")));
    NewDataset {
        modalities: inputs
            .modalities
            .iter()
            .map(|loaded| Modality { name: loaded.name.clone(), dim: loaded.dim })
            .collect(),
        steps,
        task: labels.classes.clone().map_or(Task::Regression, |classes| Task::Classification { classes }),
        description: Description {
            source: request.source.clone(),
            licence: request.licence.clone(),
            preparation,
        },
        names: Names::default(),
        train,
        valid,
        test,
    }
}

fn part<'a>(
    loaded: &Loaded,
    rows: &[usize],
    members: &[usize],
    values: &'a mut [f32],
    size: usize,
    pad: Side,
) -> Part<'a> {
    let fitted = values.chunks_exact(size).zip(members);
    let present = fitted.map(|(values, at)| loaded.present(rows[*at], values, pad)).collect();
    Part { values, present }
}

#[cfg(test)]
mod tests;
