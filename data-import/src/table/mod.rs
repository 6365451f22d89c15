//! Columns with one value per sample, from CSV, text, NumPy or Parquet files.

mod delimited;
#[cfg(feature = "parquet")]
mod parquet;

use crate::{
    Reference,
    mistake::{Mistake, some},
    npy::{self, NpyError, Opened},
};

/// The purpose of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Labels,
    Split,
    Groups,
    Ids,
}

impl Role {
    /// The option that names the file.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Labels => "--labels",
            Self::Split => "--split",
            Self::Groups => "--groups",
            Self::Ids => "--ids",
        }
    }

    /// The names under which the column is searched if no name is given.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Labels => &["label", "labels"],
            Self::Split => &["split", "splits"],
            Self::Groups => &["group", "groups", "speaker", "subject"],
            Self::Ids => &["id", "ids"],
        }
    }
}

/// The column with the sample's id.
const ID: &str = "id";

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// As names of something: whole numbers without a point.
    pub(crate) fn into_texts(self) -> Vec<String> {
        match self {
            Self::Numbers(values) => values.iter().map(ToString::to_string).collect(),
            Self::Texts(values) => values,
        }
    }
}

/// One column of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// Where it was read: the file, and the column if one was named.
    pub(crate) place: String,
    /// The file without the column.
    pub(crate) file: String,
    pub(crate) role: Role,
    /// The type of the elements or of the file.
    pub(crate) kind: String,
    /// The id of each value's sample, if the file has ids.
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) values: Values,
}

/// A whole table of text, by column.
pub(crate) struct Table {
    /// The columns' names; none of a file without a heading, which has one column.
    pub(crate) heading: Vec<String>,
    pub(crate) columns: Vec<Vec<String>>,
    pub(crate) kind: &'static str,
}

/// Reads a column.
pub(crate) fn read(reference: &Reference, role: Role) -> Result<Column, Mistake> {
    let place = reference.to_string();
    match reference.ending().as_str() {
        "npy" => {
            let opened = npy::open(&reference.path).map_err(|error| explained(&error, &place, role))?;
            of_array(opened, place, role)
        }
        "npz" => {
            let opened = npy::open_member(&reference.path, reference.name.as_deref(), role.names())?;
            of_array(opened, place, role)
        }
        "parquet" => of_table(parquet_table(reference)?, reference, role),
        _ => of_table(delimited::read(reference)?, reference, role),
    }
}

#[cfg(feature = "parquet")]
fn parquet_table(reference: &Reference) -> Result<Table, Mistake> {
    parquet::read(reference)
}

#[cfg(not(feature = "parquet"))]
fn parquet_table(reference: &Reference) -> Result<Table, Mistake> {
    Err(Mistake::new(reference, "this program was built without the reader of Parquet").help(
        "write CSV, such as `frame.to_csv(\"labels.csv\", index=False)`, or build with `--features parquet`",
    ))
}

/// An error of reading an array, with the remedy for texts where those are often stored as objects.
fn explained(error: &NpyError, place: &str, role: Role) -> Mistake {
    let mistake = error.at(place);
    if matches!(error, NpyError::Objects) {
        return mistake.help(format_args!(
            "save texts with `np.save(path, array.astype(str), allow_pickle=False)`, or give {} a CSV file",
            role.option()
        ));
    }
    mistake
}

fn of_array(opened: Opened, place: String, role: Role) -> Result<Column, Mistake> {
    match opened.header.shape[..] {
        [_] | [_, 1] => {}
        [samples, classes] if role == Role::Labels => {
            return Err(Mistake::new(
                &place,
                format_args!("has shape {samples} x {classes}, expected one label per sample"),
            )
            .help("if a row has a 1 at its class, save `array.argmax(axis=1)`"));
        }
        _ => {
            let found = &opened.header.shape;
            return Err(Mistake::new(
                &place,
                format_args!("has shape {found:?}, expected one value per sample"),
            )
            .help("save an array of one dimension"));
        }
    }
    let kind = opened.header.kind();
    let values = if opened.header.is_text() {
        opened.texts().map(Values::Texts)
    } else {
        let mut values = vec![0.0; opened.header.count];
        opened.numbers(|at, value| values[at] = value).map(|()| Values::Numbers(values))
    };
    let values = values.map_err(|error| explained(&error, &place, role))?;
    Ok(Column { file: place.clone(), place, role, kind, ids: None, values })
}

fn of_table(table: Table, reference: &Reference, role: Role) -> Result<Column, Mistake> {
    let Table { heading, mut columns, kind } = table;
    let place = reference.to_string();
    let find = |wanted: &str| heading.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let id = find(ID);
    let values = match &reference.name {
        Some(name) => heading.iter().position(|it| it == name).or_else(|| find(name)),
        None if columns.len() == 1 => Some(0),
        None => role.names().iter().find_map(|name| find(name)).or_else(|| {
            let mut others = (0..columns.len()).filter(|at| Some(*at) != id);
            others.next().filter(|_| others.next().is_none())
        }),
    };
    let Some(values) = values else {
        let file = reference.path.display().to_string();
        let problem = match &reference.name {
            Some(name) => format!("there is no column {name:?}"),
            None => format!("which column {} means is not clear", role.option()),
        };
        return Err(Mistake::new(&file, format_args!("{problem}; the columns are {}", some(&heading)))
            .help(format_args!("name one as {} {file}:COLUMN", role.option())));
    };
    let ids = id.filter(|id| *id != values).map(|id| columns[id].clone());
    let values = Values::Texts(std::mem::take(&mut columns[values]));
    let file = reference.path.display().to_string();
    Ok(Column { place, file, role, kind: kind.to_owned(), ids, values })
}

#[cfg(test)]
mod tests;
