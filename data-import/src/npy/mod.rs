//! Reading `.npy` files and the members of `.npz` archives. Memory is allocated only for bytes that exist.

mod header;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use half::f16;
use thiserror::Error;
use zip::ZipArchive;

pub(crate) use self::header::Header;
use self::header::Kind;
use crate::mistake::{Mistake, some};

/// Elements decoded at a time.
const CHUNK: usize = 8192;

/// Why an array cannot be read.
#[derive(Debug, Error)]
pub(crate) enum NpyError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not a .npy file, or ends before its header does")]
    NotNpy,
    #[error("has version {0} of the .npy format, which is not known here")]
    Version(u8),
    #[error("its header cannot be understood: {0}")]
    Header(String),
    #[error("holds Python objects, which are stored as pickles, and reading a pickle runs what it says")]
    Objects,
    #[error("holds records of several fields")]
    Structured,
    #[error("holds elements of type `{0}`")]
    Dtype(String),
    #[error("claims the shape {0:?}, more than can be addressed")]
    Huge(Vec<usize>),
    #[error("is damaged: its shape {shape:?} takes {expected} bytes, it has {found}")]
    Size { shape: Vec<usize>, expected: u64, found: u64 },
    #[error("holds text")]
    Text,
    #[error("holds numbers where text is expected")]
    NoText,
    #[error("holds text that is not Unicode at {0}")]
    NotUnicode(usize),
}

impl NpyError {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io(_) => None,
            Self::NotNpy | Self::Version(_) | Self::Header(_) => {
                Some("write it with `np.save(path, array, allow_pickle=False)`")
            }
            Self::Objects => Some(
                "convert it to numbers, such as `np.stack(array).astype(np.float32)`, and save that with \
                 `np.save(path, array, allow_pickle=False)`; samples of differing lengths go into a folder, one .npy each",
            ),
            Self::Structured => {
                Some("save its fields as one array of numbers, such as `np.stack([a[\"x\"], a[\"y\"]], -1)`")
            }
            Self::Dtype(_) => Some("convert it with `array.astype(np.float32)`"),
            Self::Huge(_) | Self::Size { .. } => Some("copy or write it again"),
            Self::Text | Self::NoText => Some("check that this is the file you mean"),
            Self::NotUnicode(_) => Some("convert it with `np.char.decode(array, \"latin-1\")`"),
        }
    }

    pub(crate) fn at(&self, place: &str) -> Mistake {
        let mistake = Mistake::new(place, self);
        match self.help() {
            Some(help) => mistake.help(help),
            None => mistake,
        }
    }
}

/// An array of which the header was read, and of which as many bytes are there as the header asks for.
pub(crate) struct Npy<R> {
    pub(crate) header: Header,
    reader: R,
}

impl<R: Read> Npy<R> {
    /// Begins to read an array of so many bytes with its header.
    fn new(mut reader: R, length: u64) -> Result<Self, NpyError> {
        let (header, begin) = Header::read(&mut reader)?;
        let expected = (header.count * header.kind.size()) as u64;
        let found = length.saturating_sub(begin as u64);
        if expected != found {
            return Err(NpyError::Size { shape: header.shape, expected, found });
        }
        Ok(Self { header, reader })
    }

    /// Every element with its place in C order, in the order of the file.
    pub(crate) fn numbers(self, mut each: impl FnMut(usize, f64)) -> Result<(), NpyError> {
        if self.header.is_text() {
            return Err(NpyError::Text);
        }
        let kind = self.header.kind;
        self.elements(|place, element| {
            each(place, number(kind, element));
            Ok(())
        })
    }

    /// The texts in C order.
    pub(crate) fn texts(self) -> Result<Vec<String>, NpyError> {
        let kind = self.header.kind;
        let mut texts = vec![String::new(); self.header.count];
        self.elements(|place, element| {
            texts[place] = text(kind, element).ok_or(match kind {
                Kind::Unicode(_) | Kind::Bytes(_) => NpyError::NotUnicode(place),
                _ => NpyError::NoText,
            })?;
            Ok(())
        })?;
        Ok(texts)
    }

    /// Every element's bytes, of numbers with the least significant byte first.
    fn elements(
        mut self,
        mut each: impl FnMut(usize, &[u8]) -> Result<(), NpyError>,
    ) -> Result<(), NpyError> {
        let size = self.header.kind.size();
        let unit = if matches!(self.header.kind, Kind::Unicode(_)) { 4 } else { size };
        let reversed = self.header.big_endian && !matches!(self.header.kind, Kind::Bytes(_));
        let mut buffer = vec![0; size * CHUNK.min(self.header.count)];
        let mut index = 0;
        while index < self.header.count {
            let bytes = &mut buffer[..size * CHUNK.min(self.header.count - index)];
            self.reader.read_exact(bytes)?;
            if reversed {
                bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
            }
            for element in bytes.chunks_exact(size) {
                each(self.header.place(index), element)?;
                index += 1;
            }
        }
        Ok(())
    }
}

fn number(kind: Kind, bytes: &[u8]) -> f64 {
    let mut eight = [0; 8];
    // Numbers have at most eight bytes; missing ones are filled with the sign.
    eight[..bytes.len()].copy_from_slice(bytes);
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    match kind {
        Kind::Float16 => f16::from_le_bytes([eight[0], eight[1]]).to_f64(),
        Kind::Float32 => f64::from(f32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]])),
        Kind::Float64 => f64::from_le_bytes(eight),
        Kind::Signed(_) => {
            if negative {
                eight[bytes.len()..].fill(0xff);
            }
            i64::from_le_bytes(eight) as f64
        }
        Kind::Unsigned(_) => u64::from_le_bytes(eight) as f64,
        Kind::Bool => f64::from(u8::from(eight[0] != 0)),
        Kind::Unicode(_) | Kind::Bytes(_) => f64::NAN,
    }
}

fn text(kind: Kind, bytes: &[u8]) -> Option<String> {
    match kind {
        Kind::Unicode(_) => {
            let points = bytes.as_chunks::<4>().0.iter().map(|point| u32::from_le_bytes(*point));
            let text: Option<String> = points.map(char::from_u32).collect();
            text.map(|text| text.trim_end_matches('\0').to_owned())
        }
        Kind::Bytes(_) => std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned()),
        _ => None,
    }
}

/// A `.npy` file, or a member of an archive that was read into memory.
pub(crate) type Opened = Npy<Box<dyn Read>>;

/// Opens a regular file; returns it with its length. Opening a named pipe would wait for somebody who writes into it.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok((File::open(path)?, metadata.len()))
}

/// Opens a `.npy` file.
pub(crate) fn open(path: &Path) -> Result<Opened, NpyError> {
    let (file, length) = open_regular(path)?;
    Npy::new(Box::new(BufReader::with_capacity(1 << 18, file)), length)
}

/// Opens the member `key` of a `.npz` archive; without a key the only one, or the one called as `role` says.
pub(crate) fn open_member(path: &Path, key: Option<&str>, roles: &[&str]) -> Result<Opened, Mistake> {
    let place = path.display().to_string();
    let damaged = |error: &dyn std::fmt::Display| {
        Mistake::new(&place, format_args!("is no archive of arrays: {error}"))
            .help("write it with `np.savez(path, audio=audio, ...)`")
    };
    let (file, _) = open_regular(path).map_err(|error| NpyError::Io(error).at(&place))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(&error))?;
    let names: Result<Vec<String>, _> = archive.file_names().map(|name| name.map(Into::into)).collect();
    let names = names.map_err(|error| damaged(&error))?;
    let keys: Vec<&str> = names.iter().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let at = match (key, keys.len()) {
        (Some(key), _) => keys.iter().position(|it| *it == key),
        (None, 1) => Some(0),
        (None, _) => roles.iter().find_map(|role| keys.iter().position(|it| it == role)),
    };
    let at = at.ok_or_else(|| {
        let wanted = key.unwrap_or(roles.first().copied().unwrap_or_default());
        Mistake::new(&place, format_args!("has no array {wanted:?}; it has {}", some(&keys)))
            .help(format_args!("say which as {place}:NAME"))
    })?;
    let mut bytes = Vec::new();
    // The size that the archive claims may be wrong; the bytes that exist count.
    let mut member = archive.by_name(&names[at]).map_err(|error| damaged(&error))?;
    member.read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    let length = bytes.len() as u64;
    Npy::new(Box::new(io::Cursor::new(bytes)) as Box<dyn Read>, length)
        .map_err(|error| error.at(&format!("{place}:{}", keys[at])))
}

#[cfg(test)]
mod tests;
