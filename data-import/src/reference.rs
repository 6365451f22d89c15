//! References to a file, or to a column or array in it: `PATH` or `PATH:NAME`.

use std::{fmt, path::PathBuf};

/// A file, and the column or array in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The file, or a folder of samples.
    pub path: PathBuf,
    /// A column of a table or an array of an archive.
    pub name: Option<String>,
}

impl Reference {
    /// If `text` is an existing path, all of it is the path. Otherwise the part after the last colon is the name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let whole = Self { path: text.into(), name: None };
        match text.rsplit_once(':') {
            Some((path, name)) if !whole.path.exists() && !path.is_empty() && !name.is_empty() => {
                Self { path: path.into(), name: Some(name.to_owned()) }
            }
            _ => whole,
        }
    }

    /// The ending of the file in lower case.
    pub(crate) fn ending(&self) -> String {
        self.path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
    }

    /// The name of the file without its folders, for the description in the data set.
    pub(crate) fn file_name(&self) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        self.name.as_ref().map_or_else(|| file.to_string(), |name| format!("{file}:{name}"))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_names_a_column_unless_there_is_such_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a:b");
        let text = path.to_str().unwrap();
        let parsed = Reference::parse(text);
        assert_eq!((parsed.path.ends_with("a"), parsed.name.as_deref()), (true, Some("b")));
        std::fs::write(&path, "").unwrap();
        assert_eq!(Reference::parse(text), Reference { path, name: None });
        assert_eq!(Reference::parse(":b").name, None);
        assert_eq!(Reference::parse("labels.csv:").name, None);
        assert_eq!(Reference::parse("x.csv:a").to_string(), "x.csv:a");
    }
}
