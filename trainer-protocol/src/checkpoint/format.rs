//! The format: one safetensors file per checkpoint, with everything needed to decide whether it may be used.
//!
//! The tensors are flat lists of 32-bit floats. The header's metadata holds these texts: `format`
//! (`colearn-checkpoint/1`), `task`, `attempt`, `epoch`, `data_digest`, `layout_digest`, `progress` and `digest`, a
//! SHA-256 over everything else.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use colearn_core::id::TaskId;
use safetensors::{
    Dtype, View,
    tensor::{Metadata, TensorInfo},
};
use sha2::{Digest, Sha256};

use super::error::CheckpointError;

const FORMAT: &str = "colearn-checkpoint/";
/// Increase this number when the meaning of the written bytes changes.
const VERSION: u32 = 1;
/// Size of the header's length field.
const LENGTH_BYTES: usize = 8;
/// The largest header that is read, in bytes. Nearly all of it is the progress: 30,000 epochs, the largest number
/// that a task may have, need about 5 MB.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

/// The state of a task at the end of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the checkpoint belongs to.
    pub header: Header,
    /// The trainer's state besides the tensors, such as the history. It is JSON that this crate does not interpret.
    pub progress: String,
    /// Flat lists of floats by name. Every bit of a float is kept.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

/// What a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The task.
    pub task: TaskId,
    /// The attempt that wrote it, counting from 1.
    pub attempt: u32,
    /// The last finished epoch, counting from 1.
    pub epoch: u32,
    /// The data set's digest, as in results.
    pub data_digest: String,
    /// The [digest](digest_of_text) of the names and shapes of the network's tensors.
    pub layout_digest: String,
}

/// What a checkpoint must be so that a task can continue from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// See [`Header::task`].
    pub task: TaskId,
    /// See [`Header::data_digest`].
    pub data_digest: String,
    /// See [`Header::layout_digest`].
    pub layout_digest: String,
    /// The number of floats of every tensor.
    pub tensors: BTreeMap<String, usize>,
}

impl Expected {
    /// The largest size of such a checkpoint, in bytes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        let floats: u64 = self.tensors.values().map(|&length| length as u64).sum();
        LENGTH_BYTES as u64 + MAX_HEADER_BYTES + 4 * floats
    }
}

/// The SHA-256 of a text, as 64 hexadecimal digits.
#[must_use]
pub fn digest_of_text(text: &str) -> String {
    hexadecimal(&Sha256::digest(text))
}

/// Writes a checkpoint. The same checkpoint may give different bytes, which are read as equal.
#[must_use]
pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let Header { task, attempt, epoch, data_digest, layout_digest } = &checkpoint.header;
    let mut texts = HashMap::from([
        ("format".to_owned(), format!("{FORMAT}{VERSION}")),
        ("task".to_owned(), task.to_string()),
        ("attempt".to_owned(), attempt.to_string()),
        ("epoch".to_owned(), epoch.to_string()),
        ("data_digest".to_owned(), data_digest.clone()),
        ("layout_digest".to_owned(), layout_digest.clone()),
        ("progress".to_owned(), checkpoint.progress.clone()),
    ]);
    let mut hash = ContentHash::new(&texts);
    let mut tensors = Vec::new();
    for (name, values) in &checkpoint.tensors {
        let tensor =
            Flat { shape: [values.len()], bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        hash.tensor(name, Dtype::F32, &tensor.shape, &tensor.bytes);
        tensors.push((name, tensor));
    }
    texts.insert("digest".to_owned(), hash.finish());
    safetensors::serialize(tensors, Some(texts))
        .expect("flat lists of floats have no shape that could be wrong")
}

/// Reads a checkpoint and checks that it is the expected one. Allocates no more memory than the bytes have.
///
/// # Errors
/// [`CheckpointError`] for any other bytes.
pub fn decode(bytes: &[u8], expected: &Expected) -> Result<Checkpoint, CheckpointError> {
    if bytes.len() as u64 > expected.largest() {
        return Err(CheckpointError::Oversized { found: bytes.len() as u64, largest: expected.largest() });
    }
    let (metadata, data) = split(bytes)?;
    let none = HashMap::new();
    let texts = metadata.metadata().as_ref().unwrap_or(&none);
    check_version(texts)?;
    let tensors = tensors(&metadata, data)?;
    let mut hash = ContentHash::new(texts);
    for (name, (info, bytes)) in &tensors {
        hash.tensor(name, info.dtype, &info.shape, bytes);
    }
    if text(texts, "digest")? != hash.finish() {
        return Err(CheckpointError::Corrupt);
    }
    same("task", text(texts, "task")?, &expected.task.to_string())?;
    same("data set", text(texts, "data_digest")?, &expected.data_digest)?;
    same("layout", text(texts, "layout_digest")?, &expected.layout_digest)?;
    if let Some(extra) = tensors.keys().find(|name| !expected.tensors.contains_key(*name)) {
        return Err(CheckpointError::ExtraTensor(extra.clone()));
    }
    let floats = expected.tensors.iter().map(|(name, &length)| {
        let (info, bytes) = tensors.get(name).ok_or_else(|| CheckpointError::MissingTensor(name.clone()))?;
        Ok((name.clone(), floats(name, info, bytes, length)?))
    });
    Ok(Checkpoint {
        tensors: floats.collect::<Result<_, _>>()?,
        header: Header {
            task: expected.task,
            attempt: number(texts, "attempt")?,
            epoch: number(texts, "epoch")?,
            data_digest: expected.data_digest.clone(),
            layout_digest: expected.layout_digest.clone(),
        },
        progress: text(texts, "progress")?.to_owned(),
    })
}

/// The header, and the bytes behind it, which the tensors' offsets fill exactly.
fn split(bytes: &[u8]) -> Result<(Metadata, &[u8]), CheckpointError> {
    let wrong = |reason: String| CheckpointError::NotSafetensors(reason);
    let (length, rest) = bytes
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or_else(|| wrong(format!("it has {} bytes", bytes.len())))?;
    let length = u64::from_le_bytes(*length);
    let (header, data) = usize::try_from(length)
        .ok()
        .filter(|_| length <= MAX_HEADER_BYTES)
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| wrong(format!("its header would have {length} bytes")))?;
    // `SafeTensors::deserialize` adds sizes from the file without a check for overflow. `Metadata` alone does not, so
    // the size of the file is checked here.
    let metadata: Metadata = serde_json::from_slice(header).map_err(|error| wrong(error.to_string()))?;
    if metadata.data_len() != data.len() {
        return Err(wrong(format!("its header needs {} bytes, {} follow", metadata.data_len(), data.len())));
    }
    Ok((metadata, data))
}

type Tensors<'a> = BTreeMap<String, (&'a TensorInfo, &'a [u8])>;

fn tensors<'a>(metadata: &'a Metadata, data: &'a [u8]) -> Result<Tensors<'a>, CheckpointError> {
    let place = |(name, info): (String, &'a TensorInfo)| {
        let bytes = data.get(info.data_offsets.0..info.data_offsets.1).ok_or(CheckpointError::Corrupt)?;
        Ok((name, (info, bytes)))
    };
    metadata.tensors().into_iter().map(place).collect()
}

fn check_version(texts: &HashMap<String, String>) -> Result<(), CheckpointError> {
    let format = text(texts, "format")?;
    let version = format.strip_prefix(FORMAT).and_then(|version| version.parse().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(found) => Err(CheckpointError::Version { found, known: VERSION }),
        None => Err(CheckpointError::NotACheckpoint(format!("its format is `{format}`"))),
    }
}

fn text<'a>(texts: &'a HashMap<String, String>, key: &str) -> Result<&'a str, CheckpointError> {
    let missing = || CheckpointError::NotACheckpoint(format!("its header has no entry `{key}`"));
    texts.get(key).map(String::as_str).ok_or_else(missing)
}

fn number(texts: &HashMap<String, String>, key: &str) -> Result<u32, CheckpointError> {
    let text = text(texts, key)?;
    let wrong = |_| CheckpointError::NotACheckpoint(format!("its entry `{key}` is `{text}`, not a number"));
    text.parse().map_err(wrong)
}

fn same(what: &'static str, found: &str, expected: &str) -> Result<(), CheckpointError> {
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::Foreign { what, found: found.to_owned(), expected: expected.to_owned() })
}

fn floats(name: &str, info: &TensorInfo, bytes: &[u8], length: usize) -> Result<Vec<f32>, CheckpointError> {
    if info.dtype != Dtype::F32 || info.shape != [length] {
        return Err(CheckpointError::Tensor {
            name: name.to_owned(),
            found: format!("{:?} {:?}", info.dtype, info.shape),
            expected: format!("F32 [{length}]"),
        });
    }
    let (floats, _) = bytes.as_chunks();
    Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// The digest of the whole content of a checkpoint.
struct ContentHash(Sha256);

impl ContentHash {
    fn new(texts: &HashMap<String, String>) -> Self {
        let mut hash = Self(Sha256::new());
        let sorted: BTreeMap<_, _> = texts.iter().filter(|(key, _)| *key != "digest").collect();
        hash.0.update((sorted.len() as u64).to_le_bytes());
        for (key, value) in sorted {
            hash.field(key.as_bytes());
            hash.field(value.as_bytes());
        }
        hash
    }

    /// Adds a tensor. Names must come in ascending order.
    fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
        self.field(name.as_bytes());
        self.field(format!("{dtype:?} {shape:?}").as_bytes());
        self.field(bytes);
    }

    /// Adds the length before the bytes, so that different contents never give the same sequence of bytes.
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A list of floats in the form that safetensors expects.
struct Flat {
    shape: [usize; 1],
    bytes: Vec<u8>,
}

impl View for Flat {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
