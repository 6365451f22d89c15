//! The files that a finished member keeps: its predictions, and its tested weights.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use colearn_core::{
    result::{NOT_KEPT, TaskResult},
    sweep::Kept,
    text::shortened,
};
use colearn_data_format::{Split, Task};
use colearn_trainer_protocol::checkpoint::{Store, StoreError};
use serde::Serialize;
use tch::Kind;

use super::{
    evaluation::{outputs, to_vec},
    network::Network,
    plan::Plan,
    progress::Progress,
    source::{DataSource, Truth},
};

/// Longest cause why a file is not kept, in bytes. A result has at most 256 bytes for those of both files.
const LONGEST_CAUSE: usize = 100;

/// The outputs of a cohort on one split, with some modalities present.
struct Part {
    split: Split,
    /// The names of these modalities, joined by `+`.
    modalities: String,
    /// Whether they are the primary modality alone.
    alone: bool,
    /// [K, N, O].
    values: Vec<f32>,
}

/// The files of members that are done.
pub(super) struct KeptFiles<'a> {
    store: Option<&'a Store>,
    source: &'a DataSource,
    parts: Vec<Part>,
    members: usize,
}

impl<'a> KeptFiles<'a> {
    /// Computes what the members that are done keep, with the weights as they are now.
    pub(super) fn of(
        members: &[Progress],
        done: &[bool],
        network: &Network,
        source: &'a DataSource,
        store: Option<&'a Store>,
    ) -> Self {
        let wanted = members
            .iter()
            .zip(done)
            .any(|(member, done)| *done && member.plan.keep.contains(&Kept::Predictions));
        let mut parts = Vec::new();
        if let Some(first) = members.first().filter(|_| wanted) {
            let plans: Vec<&Plan> = members.iter().map(|member| &member.plan).collect();
            for (split, tensors) in [(Split::Valid, source.valid()), (Split::Test, source.test())] {
                for (modalities, present) in subsets(&first.plan) {
                    let values = to_vec(&outputs(network.model.as_ref(), source, tensors, &present, &plans));
                    parts.push(Part { split, modalities, alone: present == first.plan.alone(), values });
                }
            }
        }
        Self { store, source, parts, members: members.len() }
    }

    /// Writes the files of a member and records them in its result. A file that cannot be written costs no result: the
    /// result says which files are missing, and why.
    pub(super) fn keep(&self, member: &Progress, k: usize, network: &Network, result: &mut TaskResult) {
        let task = member.plan.task;
        let mut missing = Vec::new();
        for kept in &member.plan.keep {
            let name = kept.file_name();
            let Some(store) = self.store else {
                missing.push(format!("{name}: there is no location for checkpoints"));
                continue;
            };
            let place = match &*member.plan.kept_in {
                "" => Ok(None),
                folder => store.within(folder).map(Some),
            };
            let bytes = match kept {
                Kept::Predictions => self.predictions(k, member.plan.settings.unimodal).into_bytes(),
                Kept::Weights => weights(member, k as i64, network, self.source, result),
            };
            match place.and_then(|place| place.as_ref().unwrap_or(store).keep(task, name, bytes)) {
                Ok(artifact) => result.artifacts.push(artifact),
                Err(error) => {
                    eprintln!("warning: {} has a result without {name}: {error}", member.plan.called);
                    // The path may be too long for a result, and the cause matters more.
                    let cause = match error {
                        StoreError::Kept { cause, .. } => cause.to_string(),
                        StoreError::Open { why, .. } => why,
                        error => error.to_string(),
                    };
                    missing.push(format!("{name}: {}", shortened(&cause, LONGEST_CAUSE)));
                }
            }
        }
        if !missing.is_empty() {
            Arc::make_mut(&mut result.environment).insert(NOT_KEPT.to_owned(), missing.join("; "));
        }
    }

    /// A table with one row per sample, split and subset of modalities. A unimodal network is given its primary
    /// modality alone.
    fn predictions(&self, k: usize, unimodal: bool) -> String {
        let classes: &[String] = match self.source.task() {
            Task::Classification { classes } => classes,
            Task::Regression => &[],
        };
        let mut text = "split,index,id,group,modalities,truth,prediction".to_owned();
        for class in classes {
            text.push(',');
            push_field(&mut text, &format!("logit.{class}"));
        }
        text.push('\n');
        let names = self.source.names();
        for part in self.parts.iter().filter(|part| part.alone || !unimodal) {
            let number = part.split as usize;
            let truth = match part.split {
                Split::Train => &self.source.train().truth,
                Split::Valid => &self.source.valid().truth,
                Split::Test => &self.source.test().truth,
            };
            let [ids, groups] =
                [&names.ids, &names.groups].map(|lists| lists.as_ref().map(|all| &all[number]));
            let own = part.values.len() / self.members;
            let width = self.source.outputs() as usize;
            for (index, row) in part.values[k * own..(k + 1) * own].chunks(width).enumerate() {
                let _ = write!(text, "{},{index},", part.split);
                push_field(&mut text, ids.map_or("", |ids| ids[index].as_str()));
                text.push(',');
                push_field(&mut text, groups.map_or("", |groups| groups[index].as_str()));
                text.push(',');
                push_field(&mut text, &part.modalities);
                text.push(',');
                match truth {
                    Truth::Classes(truth) => {
                        push_field(&mut text, &classes[truth[index] as usize]);
                        text.push(',');
                        push_field(&mut text, &classes[largest(row)]);
                        row.iter().for_each(|logit| {
                            let _ = write!(text, ",{logit:?}");
                        });
                    }
                    Truth::Values(truth) => {
                        let _ = write!(text, "{:?},{:?}", truth[index], row[0]);
                    }
                }
                text.push('\n');
            }
        }
        text
    }
}

/// The subsets of modalities that are evaluated, with their names: the primary modality alone, then the others.
fn subsets(plan: &Plan) -> Vec<(String, Vec<bool>)> {
    let mut subsets = vec![(plan.settings.primary.clone(), plan.alone())];
    for (names, present) in plan.settings.evaluate.iter().zip(&plan.subsets) {
        if subsets.iter().all(|(_, known)| known != present) {
            subsets.push((names.join("+"), present.clone()));
        }
    }
    subsets
}

/// The position of the largest value, the first one on ties, as libtorch's `argmax` has it.
fn largest(row: &[f32]) -> usize {
    let larger = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, larger)
}

/// Appends a field of a CSV file, in quotes where they are needed.
fn push_field(text: &mut String, field: &str) {
    if field.contains([',', '"', '\n', '\r']) || field.trim() != field {
        text.push('"');
        text.push_str(&field.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(field);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data with text keys and finite numbers")
}

/// The header entry of a tensor, as safetensors defines it.
#[derive(Serialize)]
struct Info {
    dtype: &'static str,
    shape: Vec<i64>,
    data_offsets: [usize; 2],
}

/// The whole header, in the order of names: the library's has no order, and the same weights are to give the same
/// bytes.
#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Info>,
}

/// A safetensors file of the tested weights, with the names and shapes of PyTorch's `state_dict`.
fn weights(
    member: &Progress,
    k: i64,
    network: &Network,
    source: &DataSource,
    result: &TaskResult,
) -> Vec<u8> {
    let plan = &member.plan;
    let (mut tensors, mut data) = (BTreeMap::new(), Vec::new());
    let mut push = |name: &str, dtype, shape: &[i64], bytes: &mut dyn Iterator<Item = u8>| {
        let start = data.len();
        data.extend(bytes);
        let data_offsets = [start, data.len()];
        tensors.insert(name.to_owned(), Info { dtype, shape: shape.to_vec(), data_offsets });
    };
    let layouts = [network.model.layout(), network.model.buffer_layout()];
    // Whole numbers first: they then are at multiples of 8, as other readers may expect.
    for entry in layouts.iter().flat_map(|layout| layout.entries()) {
        if let Some(norm) = entry.name.strip_suffix("running_mean") {
            let batches = plan.batches(source.train().len()).len() as i64 * i64::from(member.tested_epoch());
            push(&format!("{norm}num_batches_tracked"), "I64", &[], &mut batches.to_le_bytes().into_iter());
        }
    }
    for (layout, flat) in layouts.iter().zip(network.now()) {
        let values = to_vec::<f32>(&flat.get(k).to_kind(Kind::Float));
        for entry in layout.entries() {
            let count: i64 = entry.shape.iter().product();
            let own = &values[entry.offset as usize..(entry.offset + count) as usize];
            let mut bytes = own.iter().flat_map(|value| value.to_le_bytes());
            push(&entry.name, "F32", &entry.shape, &mut bytes);
        }
    }
    let modalities: Vec<(&str, usize)> =
        source.modalities().iter().map(|modality| (modality.name.as_str(), modality.dim)).collect();
    let metadata = BTreeMap::from([
        // What tools that load weights look for.
        ("format", "pt".to_owned()),
        ("settings", json(&plan.settings)),
        ("configuration", plan.task.configuration.to_string()),
        ("seed", plan.seed().to_string()),
        ("epoch", member.tested_epoch().to_string()),
        ("modalities", json(&modalities)),
        ("classes", json(&result.classes)),
        ("outputs", source.outputs().to_string()),
        ("data_digest", result.data_digest.clone()),
        ("weights_digest", result.weights_digest.clone()),
    ]);
    let mut header = json(&Header { metadata, tensors }).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.append(&mut data);
    bytes
}
