//! Takes a data set file apart, to damage it in ways that the writer refuses.

use std::{fs, path::Path};

use serde_json::{Value, json};

/// The header and the bytes of every tensor, in the order of the file.
pub(crate) struct Tensors {
    metadata: Value,
    tensors: Vec<(String, Value, Vec<u8>)>,
}

impl Tensors {
    pub(crate) fn read(path: &Path) -> Self {
        let file = fs::read(path).unwrap();
        let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
        let mut header: serde_json::Map<String, Value> =
            serde_json::from_slice(&file[8..8 + length]).unwrap();
        let metadata = header.remove("__metadata__").unwrap();
        let data = &file[8 + length..];
        let place =
            |info: &Value, end: usize| usize::try_from(info["data_offsets"][end].as_u64().unwrap()).unwrap();
        let mut tensors: Vec<(String, Value, Vec<u8>)> = header
            .into_iter()
            .map(|(name, info)| {
                let bytes = data[place(&info, 0)..place(&info, 1)].to_vec();
                (name, info, bytes)
            })
            .collect();
        tensors.sort_by_key(|(_, info, _)| place(info, 0));
        Self { metadata, tensors }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, Value, Vec<u8>) {
        self.tensors.iter_mut().find(|(other, ..)| other == name).unwrap_or_else(|| panic!("{name}"))
    }

    /// Changes the labels of a split.
    pub(crate) fn labels(&mut self, split: &str, change: impl Fn(usize, i64) -> i64) {
        let (_, _, bytes) = self.tensor(&format!("{split}/labels"));
        for (index, bytes) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = change(index, i64::from_le_bytes(*bytes)).to_le_bytes();
        }
    }

    /// Sets all features of a modality in a split.
    pub(crate) fn fill(&mut self, name: &str, value: f32) {
        for bytes in self.tensor(name).2.as_chunks_mut::<4>().0 {
            *bytes = value.to_le_bytes();
        }
    }

    /// Removes all samples of a split.
    pub(crate) fn empty(&mut self, split: &str) {
        for (_, info, bytes) in self.tensors.iter_mut().filter(|(name, ..)| name.starts_with(split)) {
            info["shape"][0] = json!(0);
            bytes.clear();
        }
    }

    pub(crate) fn write(&self, path: &Path) {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), self.metadata.clone());
        let mut data = Vec::new();
        for (name, info, bytes) in &self.tensors {
            let mut info = info.clone();
            info["data_offsets"] = json!([data.len(), data.len() + bytes.len()]);
            data.extend_from_slice(bytes);
            header.insert(name.clone(), info);
        }
        let mut header = serde_json::to_vec(&header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        fs::write(path, file).unwrap();
    }
}
