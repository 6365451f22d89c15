//! The header of a `.npy` file: a Python dictionary of three keys
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::io::{ErrorKind, Read};

use super::NpyError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses headers of more than 10,000 bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// NumPy's arrays have at most 64 dimensions.
const MAX_DIMENSIONS: usize = 64;

/// The type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float16,
    Float32,
    Float64,
    /// Of so many bytes: 1, 2, 4 or 8.
    Signed(usize),
    /// Of so many bytes: 1, 2, 4 or 8.
    Unsigned(usize),
    Bool,
    /// So many code points of four bytes each.
    Unicode(usize),
    /// So many bytes of UTF-8.
    Bytes(usize),
}

impl Kind {
    /// Bytes of an element; at least one.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Float16 => 2,
            Self::Float32 => 4,
            Self::Float64 => 8,
            Self::Signed(size) | Self::Unsigned(size) | Self::Bytes(size) => size,
            Self::Bool => 1,
            Self::Unicode(length) => 4 * length,
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Unicode(_) | Self::Bytes(_))
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Signed(_) | Self::Unsigned(_) | Self::Bool)
    }

    /// As NumPy calls it.
    fn name(self) -> String {
        match self {
            Self::Float16 => "float16".to_owned(),
            Self::Float32 => "float32".to_owned(),
            Self::Float64 => "float64".to_owned(),
            Self::Signed(size) => format!("int{}", 8 * size),
            Self::Unsigned(size) => format!("uint{}", 8 * size),
            Self::Bool => "bool".to_owned(),
            Self::Unicode(_) | Self::Bytes(_) => "text".to_owned(),
        }
    }
}

/// The contents of the header. The number of elements and of their bytes fit into `usize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) big_endian: bool,
    /// Whether the first index varies fastest.
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<usize>,
    /// Elements.
    pub(crate) count: usize,
}

impl Header {
    /// The name of the elements' type in NumPy, and an unusual byte order or order of elements.
    pub(crate) fn kind(&self) -> String {
        let big_endian = if self.big_endian && self.kind.size() > 1 { " big-endian" } else { "" };
        let fortran = if self.fortran && self.shape.len() > 1 { " Fortran order" } else { "" };
        format!("{}{big_endian}{fortran}", self.kind.name())
    }

    pub(crate) fn is_text(&self) -> bool {
        self.kind.is_text()
    }

    /// Whether the elements are integers or truth values.
    pub(crate) fn is_whole(&self) -> bool {
        self.kind.is_whole()
    }

    /// Reads a header; returns it with the number of bytes it took.
    pub(crate) fn read(reader: &mut impl Read) -> Result<(Self, usize), NpyError> {
        let mut begin = [0; 8];
        fill(reader, &mut begin)?;
        if !begin.starts_with(MAGIC) {
            return Err(NpyError::NotNpy);
        }
        let width = match begin[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(NpyError::Version(version)),
        };
        let mut length = [0; 4];
        fill(reader, &mut length[..width])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            return Err(NpyError::Header(format!("it has {length} bytes")));
        }
        let mut text = vec![0; length];
        fill(reader, &mut text)?;
        let text = std::str::from_utf8(&text).map_err(|_| NpyError::Header("it is not text".to_owned()))?;
        Ok((Self::parse(text)?, begin.len() + width + length))
    }

    fn parse(text: &str) -> Result<Self, NpyError> {
        let mut cursor = Cursor(text);
        let (mut kind, mut fortran, mut shape) = (None, None, None);
        cursor.expect('{')?;
        while !cursor.take('}') {
            let key = cursor.quoted()?;
            cursor.expect(':')?;
            match key {
                "descr" if matches!(cursor.peek(), Some('[' | '(' | '{')) => {
                    return Err(NpyError::Structured);
                }
                "descr" => kind = Some(dtype(cursor.quoted()?)?),
                "fortran_order" => fortran = Some(cursor.boolean()?),
                "shape" => shape = Some(cursor.shape()?),
                other => return Err(NpyError::Header(format!("it has a key {other:?}"))),
            }
            if !cursor.take(',') && cursor.peek() != Some('}') {
                return Err(cursor.unexpected("`,` or `}`"));
            }
        }
        if cursor.peek().is_some() {
            return Err(cursor.unexpected("its end"));
        }
        let missing = |key| NpyError::Header(format!("it has no key `{key}`"));
        let (kind, big_endian) = kind.ok_or_else(|| missing("descr"))?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        let shape: Vec<usize> = shape.ok_or_else(|| missing("shape"))?;
        let count = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let count = count.filter(|count| count.checked_mul(kind.size()).is_some());
        let count = count.ok_or_else(|| NpyError::Huge(shape.clone()))?;
        Ok(Self { kind, big_endian, fortran, shape, count })
    }

    /// The index in C order of the `index`-th element of the file.
    pub(crate) fn place(&self, index: usize) -> usize {
        if !self.fortran {
            return index;
        }
        let (mut rest, mut place) = (index, 0);
        let mut stride = self.count;
        for &extent in &self.shape {
            stride /= extent;
            place += rest % extent * stride;
            rest /= extent;
        }
        place
    }
}

/// Like `read_exact`, with the error of a file that is no array or was cut off.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), NpyError> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => NpyError::NotNpy,
        _ => NpyError::Io(error),
    })
}

/// `<f4` and the like, and whether the most significant byte comes first.
fn dtype(descr: &str) -> Result<(Kind, bool), NpyError> {
    let other = || NpyError::Dtype(descr.to_owned());
    let (order, rest) = match descr.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (order, &descr[1..]),
        _ => ('=', descr),
    };
    let letter = rest.chars().next().ok_or_else(other)?;
    let number = &rest[letter.len_utf8()..];
    match letter {
        'O' => return Err(NpyError::Objects),
        'V' => return Err(NpyError::Structured),
        _ => {}
    }
    let size: usize = number.parse().map_err(|_| other())?;
    let kind = match (letter, size) {
        ('f', 2) => Kind::Float16,
        ('f', 4) => Kind::Float32,
        ('f', 8) => Kind::Float64,
        ('i', 1 | 2 | 4 | 8) => Kind::Signed(size),
        ('u', 1 | 2 | 4 | 8) => Kind::Unsigned(size),
        ('b', 1) => Kind::Bool,
        ('U', 1..=MAX_HEADER_BYTES) => Kind::Unicode(size),
        ('S' | 'a', 1..=MAX_HEADER_BYTES) => Kind::Bytes(size),
        _ => return Err(other()),
    };
    Ok((kind, order == '>'))
}

/// The rest of the header.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn unexpected(&self, expected: &str) -> NpyError {
        let found: String = self.0.trim_start().chars().take(12).collect();
        NpyError::Header(format!("{expected} is expected at {found:?}"))
    }

    fn peek(&mut self) -> Option<char> {
        self.0 = self.0.trim_start();
        self.0.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.0 = &self.0[wanted.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), NpyError> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(&format!("`{wanted}`"))) }
    }

    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else { return Err(self.unexpected("a quoted text")) };
        let (text, rest) = self.0[1..].split_once(quote).ok_or_else(|| self.unexpected("a quoted text"))?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(self.unexpected("`True` or `False`"))
    }

    /// `()`, `(3,)`, `(3, 4)`; Python 2 wrote `3L`.
    fn shape(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            self.peek();
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let extent = self.0[..end].parse().map_err(|_| self.unexpected("a number"))?;
            self.0 = self.0[end..].strip_prefix('L').unwrap_or(&self.0[end..]);
            shape.push(extent);
            if shape.len() > MAX_DIMENSIONS {
                return Err(NpyError::Header(format!("it has more than {MAX_DIMENSIONS} dimensions")));
            }
            if !self.take(',') && self.peek() != Some(')') {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(descr: &str, fortran: &str, shape: &str) -> Result<Header, NpyError> {
        Header::parse(&format!(
            "{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}          \n"
        ))
    }

    #[test]
    fn what_numpy_writes_is_understood() {
        let header = parse("'>f8'", "True", "(120, 30, 74)").unwrap();
        assert_eq!((header.kind, header.big_endian, header.fortran), (Kind::Float64, true, true));
        assert_eq!((&header.shape[..], header.count), (&[120, 30, 74][..], 120 * 30 * 74));
        for (shape, expected) in [("()", &[][..]), ("(3,)", &[3]), ("(3L, 4L)", &[3, 4]), ("(0, 7)", &[0, 7])]
        {
            assert_eq!(parse("'<f4'", "False", shape).unwrap().shape, expected);
        }
        for (descr, name) in [
            ("<f2", "float16"),
            ("|b1", "bool"),
            ("|i1", "int8"),
            ("<i8", "int64"),
            (">u4", "uint32"),
            ("<U7", "text"),
            ("|S3", "text"),
        ] {
            assert_eq!(dtype(descr).unwrap().0.name(), name);
        }
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused_for_what_it_is() {
        assert!(matches!(parse("'|O'", "False", "(3,)"), Err(NpyError::Objects)));
        assert!(matches!(parse("[('a', '<f4')]", "False", "(3,)"), Err(NpyError::Structured)));
        assert!(matches!(parse("'|V8'", "False", "(3,)"), Err(NpyError::Structured)));
        for descr in ["<c16", "<M8[ns]", "<f16", "<i3", "<U0", "", "<", "é4"] {
            let error = parse(&format!("'{descr}'"), "False", "(3,)").unwrap_err();
            assert!(matches!(error, NpyError::Dtype(_)), "{descr}: {error}");
        }
        for shape in ["(-1,)", "(3", "3", "(3 4)", "(99999999999999999999,)", "('3',)"] {
            assert!(matches!(parse("'<f4'", "False", shape), Err(NpyError::Header(_))), "{shape}");
        }
        // The second would be empty if the product wrapped around.
        for huge in ["(9223372036854775807, 2)", "(4294967296, 4294967296)"] {
            assert!(matches!(parse("'<f4'", "False", huge), Err(NpyError::Huge(_))), "{huge}");
        }
        assert!(matches!(parse("'<f8'", "False", "(2305843009213693952,)"), Err(NpyError::Huge(_))));
        let many = format!("({})", "1,".repeat(65));
        assert!(matches!(parse("'<f4'", "False", &many), Err(NpyError::Header(_))));
    }

    #[test]
    fn brackets_in_brackets_take_no_time() {
        let deep = format!("{}'<f4'{}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(matches!(parse(&deep, "False", "(3,)"), Err(NpyError::Structured)));
        assert!(matches!(parse("'<f4'", "False", &"(".repeat(30_000)), Err(NpyError::Header(_))));
    }

    #[test]
    fn a_fortran_place_is_the_c_place_of_the_same_element() {
        let header = parse("'<f4'", "True", "(2, 3, 4)").unwrap();
        let mut index = 0;
        for k in 0..4 {
            for j in 0..3 {
                for i in 0..2 {
                    assert_eq!(header.place(index), (i * 3 + j) * 4 + k);
                    index += 1;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}()\\[\\]':,a-zLTF0-9 ]{0,80}") {
            let _ = Header::read(&mut &bytes[..]);
            let _ = Header::parse(&text);
            let _ = Header::parse(&format!("{{'descr': '<f4', 'fortran_order': False, {text}"));
        }
    }
}
