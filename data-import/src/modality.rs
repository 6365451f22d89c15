//! One modality as given: an array of all samples, or a folder with one array per sample.

use std::{ffi::OsStr, fs, ops::Range, path::Path};

use crate::{
    Reference, Side,
    mistake::{Mistake, counted, some},
    npy::{self, Opened},
};

/// The number of files of a folder whose mistakes are reported individually.
const REPORTED: usize = 5;

/// Values that cannot be stored as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    /// NaN or infinite.
    pub(crate) non_finite: Option<Fault>,
    /// Finite, but beyond what a float32 holds.
    pub(crate) overflow: Option<Fault>,
    /// Integers that a float32 holds only rounded.
    pub(crate) rounded: usize,
}

/// How many values, and the first of them in C order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) count: usize,
    pub(crate) first: usize,
    pub(crate) value: f64,
}

impl Fault {
    fn note(fault: &mut Option<Self>, at: usize, value: f64) {
        let fault = fault.get_or_insert(Self { count: 0, first: at, value });
        fault.count += 1;
        if at < fault.first {
            (fault.first, fault.value) = (at, value);
        }
    }
}

/// A modality in memory, every sample with the steps it came with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// The file or folder, as it was named.
    pub(crate) place: String,
    pub(crate) file_name: String,
    /// Names of the samples, of a folder.
    pub(crate) ids: Option<Vec<String>>,
    /// The samples' time steps.
    pub(crate) lengths: Vec<usize>,
    /// Features a time step.
    pub(crate) dim: usize,
    /// All samples, each [steps, features], one after the other.
    values: Vec<f32>,
    /// Where each sample's values begin.
    starts: Vec<usize>,
    /// The types of the elements, in NumPy's words.
    pub(crate) kind: String,
    /// An array of two dimensions, of which every sample is one step.
    pub(crate) flat: bool,
    /// Files of a folder that are no arrays.
    pub(crate) ignored: usize,
    pub(crate) faults: Faults,
}

/// Reads a modality.
pub(crate) fn load(name: &str, reference: &Reference) -> Result<Loaded, Vec<Mistake>> {
    if reference.path.is_dir() && reference.name.is_none() {
        return load_folder(name, reference);
    }
    load_array(name, reference).map_err(|mistake| vec![mistake])
}

fn load_array(name: &str, reference: &Reference) -> Result<Loaded, Mistake> {
    let place = reference.to_string();
    let opened = match reference.ending().as_str() {
        "npy" => npy::open(&reference.path).map_err(|error| error.at(&place))?,
        "npz" => npy::open_member(&reference.path, reference.name.as_deref(), &[name])?,
        _ if !reference.path.exists() => {
            let mistake = Mistake::new(&place, format_args!("the file of {name} does not exist"));
            let tilde = place.starts_with('~');
            return Err(if tilde {
                mistake.help("shells do not replace `~` after `=`: write $HOME")
            } else {
                mistake
            });
        }
        _ => {
            return Err(Mistake::new(
                &place,
                format_args!("{name} is no .npy or .npz file and no folder of .npy files"),
            )
            .help("save it with `np.save(\"x.npy\", array.astype(np.float32), allow_pickle=False)`"));
        }
    };
    let shape = opened.header.shape.clone();
    let (samples, steps, dim) = match shape[..] {
        [samples, steps, dim] => (samples, steps, dim),
        [samples, dim] => (samples, 1, dim),
        _ => {
            let times = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
            let help = if shape.len() == 1 {
                "save `array.reshape(-1, 1)` if it is one feature per sample".to_owned()
            } else {
                "save it with three dimensions, such as `array.reshape(len(array), array.shape[1], -1)`"
                    .to_owned()
            };
            let problem = format!(
                "{name} has {} ({times}), expected samples x steps x features",
                counted(shape.len(), "dimension")
            );
            return Err(Mistake::new(&place, problem).help(help));
        }
    };
    if opened.header.count == 0 {
        return Err(Mistake::new(&place, format_args!("{name} is empty: its shape is {shape:?}")));
    }
    let mut loaded = Loaded {
        name: name.to_owned(),
        place,
        file_name: reference.file_name(),
        ids: None,
        lengths: vec![steps; samples],
        dim,
        values: Vec::new(),
        starts: (0..samples).map(|sample| sample * steps * dim).collect(),
        kind: opened.header.kind(),
        flat: shape.len() == 2,
        ignored: 0,
        faults: Faults::default(),
    };
    let place = loaded.place.clone();
    loaded.append(opened).map_err(|error| error.at(&place))?;
    Ok(loaded)
}

fn load_folder(name: &str, reference: &Reference) -> Result<Loaded, Vec<Mistake>> {
    let place = reference.to_string();
    let failed = |error| vec![Mistake::new(&place, format_args!("cannot be read: {error}"))];
    let mut files = Vec::new();
    let mut mistakes = Vec::new();
    let mut ignored = 0;
    for entry in fs::read_dir(&reference.path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension() != Some(OsStr::new("npy")) {
            ignored += usize::from(!hidden);
            continue;
        }
        match path.file_stem().and_then(OsStr::to_str) {
            Some(id) => files.push((id.to_owned(), path)),
            None => mistakes.push(Mistake::new(path.display(), "its name is not UTF-8").help("rename it")),
        }
    }
    files.sort();
    if files.is_empty() && mistakes.is_empty() {
        return Err(vec![Mistake::new(&place, format_args!("{name} is a folder without .npy files")).help(
            "put one array of [steps, features] per sample there; the file's name is the sample's id",
        )]);
    }
    let mut loaded = Loaded {
        name: name.to_owned(),
        place,
        file_name: reference.file_name(),
        ids: None,
        lengths: Vec::with_capacity(files.len()),
        dim: 0,
        values: Vec::new(),
        starts: Vec::with_capacity(files.len()),
        kind: String::new(),
        flat: false,
        ignored,
        faults: Faults::default(),
    };
    let mut kinds = Vec::new();
    for (_, path) in &files {
        mistakes.extend(loaded.add_file(path, &mut kinds).err());
    }
    if !mistakes.is_empty() {
        let more = mistakes.len().saturating_sub(REPORTED);
        mistakes.truncate(REPORTED);
        if more > 0 {
            mistakes.push(Mistake::new(
                &loaded.place,
                format_args!("{} more cannot be used", counted(more, "file")),
            ));
        }
        return Err(mistakes);
    }
    loaded.kind = kinds.join(" and ");
    loaded.ids = Some(files.into_iter().map(|(id, _)| id).collect());
    Ok(loaded)
}

impl Loaded {
    /// Appends a file of one sample.
    fn add_file(&mut self, path: &Path, kinds: &mut Vec<String>) -> Result<(), Mistake> {
        let place = path.display().to_string();
        let opened = npy::open(path).map_err(|error| error.at(&place))?;
        let (steps, dim) = match opened.header.shape[..] {
            [steps, dim] if dim > 0 => (steps, dim),
            _ => {
                let found = &opened.header.shape;
                let mistake =
                    Mistake::new(&place, format_args!("has shape {found:?}, expected [steps, features]"));
                return Err(match found[..] {
                    [_] => mistake.help("save `array.reshape(-1, 1)` if it has one feature a step"),
                    _ => mistake,
                });
            }
        };
        if self.dim == 0 {
            self.dim = dim;
        } else if dim != self.dim {
            let expected = self.dim;
            return Err(Mistake::new(
                &place,
                format_args!("has {dim} features, the files before it {expected}"),
            ));
        }
        let kind = opened.header.kind();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        self.starts.push(self.values.len());
        self.lengths.push(steps);
        self.append(opened).map_err(|error| error.at(&place))
    }

    fn append(&mut self, opened: Opened) -> Result<(), npy::NpyError> {
        let begin = self.values.len();
        // As many values as there are elements, and those are in the file.
        self.values.resize(begin + opened.header.count, 0.0);
        let whole = opened.header.is_whole();
        let (values, faults) = (&mut self.values[begin..], &mut self.faults);
        opened.numbers(|at, value| {
            let narrow = value as f32;
            if !value.is_finite() {
                Fault::note(&mut faults.non_finite, begin + at, value);
            } else if !narrow.is_finite() {
                Fault::note(&mut faults.overflow, begin + at, value);
            } else if whole && f64::from(narrow) != value {
                faults.rounded += 1;
            }
            values[at] = narrow;
        })
    }

    /// Makes NaN and infinities zero; how many there were.
    pub(crate) fn zero_non_finite(&mut self) -> usize {
        let Some(fault) = self.faults.non_finite.take() else { return 0 };
        let overflow = self.faults.overflow.is_some();
        // Values that are too large for a float32 are infinite here; they stay mistakes.
        if !overflow {
            self.values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
        }
        fault.count
    }

    pub(crate) fn samples(&self) -> usize {
        self.lengths.len()
    }

    /// `120 x 30 x 74`, or the range of the steps.
    pub(crate) fn shape(&self) -> String {
        let (shortest, longest) = self.range();
        let steps = if shortest == longest { shortest.to_string() } else { format!("{shortest}..{longest}") };
        let samples = self.samples();
        format!("{samples} x {steps} x {}", self.dim)
    }

    /// Steps of the shortest and of the longest sample.
    pub(crate) fn range(&self) -> (usize, usize) {
        let lengths = self.lengths.iter().copied();
        (lengths.clone().min().unwrap_or(0), lengths.max().unwrap_or(0))
    }

    /// Sample, step and feature of a value.
    pub(crate) fn place_of(&self, value: usize) -> [usize; 3] {
        // The last sample that begins at or before it; those without steps begin where the next one does.
        let sample = self.starts.partition_point(|start| *start <= value) - 1;
        let rest = value - self.starts[sample];
        [sample, rest / self.dim, rest % self.dim]
    }

    /// A sample as it was given, [steps, features].
    pub(crate) fn sample(&self, index: usize) -> &[f32] {
        let start = self.starts[index];
        &self.values[start..start + self.lengths[index] * self.dim]
    }

    /// Appends a sample with so many steps.
    pub(crate) fn fit(&self, index: usize, steps: usize, pad: Side, cut: Side, out: &mut Vec<f32>) {
        let given = self.sample(index);
        let kept = self.lengths[index].min(steps) * self.dim;
        let kept = match cut {
            Side::Front => &given[given.len() - kept..],
            Side::Back => &given[..kept],
        };
        let missing = steps * self.dim - kept.len();
        let end = out.len() + missing + kept.len();
        if pad == Side::Front {
            out.resize(out.len() + missing, 0.0);
        }
        out.extend_from_slice(kept);
        out.resize(end, 0.0);
    }

    /// The steps of a fitted sample that are no padding. An array may have been padded before it was saved: there,
    /// steps of zeros at both ends count as padding.
    pub(crate) fn present(&self, index: usize, fitted: &[f32], pad: Side) -> Range<usize> {
        let steps = fitted.len() / self.dim;
        let kept = self.lengths[index].min(steps);
        let range = match pad {
            Side::Front => steps - kept..steps,
            Side::Back => 0..kept,
        };
        if self.ids.is_some() {
            return range;
        }
        let silent =
            |step: &usize| fitted[step * self.dim..(step + 1) * self.dim].iter().all(|value| *value == 0.0);
        let first = range.clone().find(|step| !silent(step)).unwrap_or(range.end);
        let last = range.rev().find(|step| !silent(step)).map_or(first, |last| last + 1);
        first..last
    }
}

/// Mistakes about values that cannot be stored; `name_of` gives the names of samples.
pub(crate) fn faults(loaded: &Loaded, name_of: &dyn Fn(usize) -> String) -> Vec<Mistake> {
    let place = |fault: &Fault| {
        let [sample, step, feature] = loaded.place_of(fault.first);
        format!("{}, step {step}, feature {feature}", name_of(sample))
    };
    let mut mistakes = Vec::new();
    if let Some(fault) = &loaded.faults.non_finite {
        let problem = format!(
            "{} NaN or infinite, the first ({}) at {}",
            if fault.count == 1 { "1 value is".to_owned() } else { format!("{} values are", fault.count) },
            fault.value,
            place(fault)
        );
        mistakes.push(Mistake::new(&loaded.place, problem).help(
            "--nan-as-zero stores zeros instead; or replace them where they come from, such as with `np.nan_to_num`",
        ));
    }
    if let Some(fault) = &loaded.faults.overflow {
        let problem = format!(
            "{} beyond what a float32 holds (3.4e38), the first ({:e}) at {}",
            if fault.count == 1 { "1 value is".to_owned() } else { format!("{} values are", fault.count) },
            fault.value,
            place(fault)
        );
        mistakes.push(Mistake::new(&loaded.place, problem).help("scale this modality before it is saved"));
    }
    mistakes
}

/// The number of steps that all modalities get.
pub(crate) fn common_steps(loaded: &[Loaded], asked: Option<usize>) -> Result<usize, Mistake> {
    if let Some(steps) = asked {
        return Ok(steps);
    }
    let ranges: Vec<(usize, usize)> = loaded.iter().map(Loaded::range).collect();
    let longest = ranges.iter().map(|(_, longest)| *longest).max().unwrap_or(0);
    if longest > 0 && ranges.iter().all(|(shortest, _)| *shortest == longest) {
        return Ok(longest);
    }
    let described: Vec<String> = loaded
        .iter()
        .map(|it| {
            let flat = if it.flat { " (2-D: one step per sample)" } else { "" };
            match it.range() {
                (shortest, longest) if shortest == longest => format!("{} has {shortest}{flat}", it.name),
                (shortest, longest) => format!("{} has {shortest} to {longest}", it.name),
            }
        })
        .collect();
    let flat: Vec<&str> = loaded.iter().filter(|it| it.flat).map(|it| it.name.as_str()).collect();
    let mut help = format!(
        "--steps {longest} pads shorter samples with zeros, a smaller number also cuts longer ones; --pad and --cut say at which end"
    );
    if !flat.is_empty() {
        let again = format!(
            "; {} could also be given as samples x steps x features, such as `np.repeat(array[:, None], {longest}, axis=1)`",
            some(flat)
        );
        help += &again;
    }
    Err(Mistake::new("time steps", format_args!("they differ: {}", described.join(", "))).help(help))
}
