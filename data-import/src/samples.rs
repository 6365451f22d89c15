//! The samples, and the row of each sample in every file.

use std::collections::HashMap;

use colearn_data_format::{Names, Split};

use crate::{
    mistake::{Mistake, Mistakes, counted, some},
    modality::Loaded,
    table::{Column, Values},
};

/// The samples in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Samples {
    /// One id per sample; without names the numbers from 0.
    pub(crate) ids: Vec<String>,
    /// The file or folder that names them, if there is one.
    pub(crate) named_by: Option<String>,
}

impl Samples {
    /// Finds the samples. Their ids come from `--ids`, else from the file names of a folder, else from the column `id`
    /// of a table; else they are numbers. Arrays need one entry per sample; in folders, files are found by id.
    pub(crate) fn find(
        loaded: &[Loaded],
        ids: Option<Column>,
        tables: &[&Column],
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let folder = loaded.iter().find_map(|it| it.ids.clone().map(|ids| (it.place.clone(), ids)));
        let given = ids.map(|column| (column.place, column.values.into_texts())).or(folder);
        if let Some((place, ids)) = given {
            let samples = Self { ids, named_by: Some(place.clone()) };
            samples.check_counts(&place, loaded, tables, mistakes);
            return Some(samples);
        }
        let counts: Vec<(&str, usize)> = loaded
            .iter()
            .map(|it| (it.place.as_str(), it.samples()))
            .chain(tables.iter().filter(|it| it.ids.is_none()).map(|it| (it.place.as_str(), it.values.len())))
            .collect();
        let &(_, count) = counts.first()?;
        if counts.iter().any(|(_, other)| *other != count) {
            let each: Vec<String> =
                counts.iter().map(|(place, count)| format!("{place} has {count}")).collect();
            mistakes.add(Mistake::new("samples", format_args!("their numbers differ: {}", each.join(", "))).help(
                "every file has one entry per sample, in the same order; if entries are missing, give tables a column `id` \
                 and the arrays' order with --ids",
            ));
            return None;
        }
        match tables.iter().filter_map(|table| table.ids.as_ref().map(|ids| (table, ids))).next() {
            Some((table, ids)) if ids.len() == count => {
                Some(Self { ids: ids.clone(), named_by: Some(table.file.clone()) })
            }
            Some((table, ids)) => {
                let problem =
                    format!("has {}, the arrays {}", counted(ids.len(), "row"), counted(count, "sample"));
                mistakes.add(Mistake::new(&table.place, problem).help(
                    "give the ids of the arrays' samples in their order with --ids, or remove the other rows",
                ));
                None
            }
            None => Some(Self::counted(count)),
        }
    }

    /// Checks that files without ids have as many entries as there are samples.
    fn check_counts(&self, place: &str, loaded: &[Loaded], tables: &[&Column], mistakes: &mut Mistakes) {
        let arrays = loaded.iter().filter(|it| it.ids.is_none()).map(|it| (&it.place, it.samples()));
        let columns = tables.iter().filter(|it| it.ids.is_none()).map(|it| (&it.place, it.values.len()));
        for (other, count) in arrays.chain(columns).filter(|(_, count)| *count != self.ids.len()) {
            let problem = format!("has {}, {place} has {}", counted(count, "entry"), self.ids.len());
            mistakes.add(Mistake::new(other, problem).help(
                "it needs one entry per sample, in the same order; a table may have a column `id` instead",
            ));
        }
    }

    /// The name of a sample in messages.
    pub(crate) fn name(&self, index: usize) -> String {
        match self.ids.get(index) {
            Some(id) if self.named_by.is_some() => format!("sample {id:?} ({index})"),
            _ => format!("sample {index}"),
        }
    }

    /// The index of each sample in a list of ids; without ids its own index.
    pub(crate) fn rows(
        &self,
        names: Option<&[String]>,
        place: &str,
        what: &str,
    ) -> Result<Vec<usize>, Mistake> {
        let Some(names) = names else { return Ok((0..self.ids.len()).collect()) };
        if names == self.ids {
            return Ok((0..names.len()).collect());
        }
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for (row, name) in names.iter().enumerate() {
            by_name.entry(name).or_insert(row);
        }
        let found: Vec<Option<usize>> = self.ids.iter().map(|id| by_name.get(id.as_str()).copied()).collect();
        let missing: Vec<&String> =
            self.ids.iter().zip(&found).filter(|(_, row)| row.is_none()).map(|(id, _)| id).collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let known: Vec<&String> = names.iter().collect();
        let problem = format!("has no {what} for {}: {}", counted(missing.len(), "sample"), some(missing));
        Err(Mistake::new(place, problem)
            .help(format_args!("it has {}; select samples with --ids, or add the missing ones", some(known))))
    }

    /// Samples without names.
    pub(crate) fn counted(count: usize) -> Self {
        Self { ids: (0..count).map(|index| index.to_string()).collect(), named_by: None }
    }

    /// The values of a column in the order of the samples. `None` if their number is wrong, which was reported before.
    pub(crate) fn align(&self, column: &Column) -> Result<Option<Values>, Mistake> {
        let Column { place, role, ids, values, .. } = column;
        if let Some(ids) = ids.as_ref().filter(|ids| **ids != self.ids) {
            contradiction(place, ids, values)?;
        }
        let what = match role {
            crate::table::Role::Labels => "label",
            crate::table::Role::Split => "split",
            _ => "row",
        };
        let rows = self.rows(ids.as_deref(), place, what)?;
        if rows.iter().any(|row| *row >= values.len()) || (ids.is_none() && values.len() != rows.len()) {
            return Ok(None);
        }
        Ok(Some(match values {
            Values::Numbers(values) => Values::Numbers(rows.iter().map(|row| values[*row]).collect()),
            Values::Texts(values) => Values::Texts(rows.iter().map(|row| values[*row].clone()).collect()),
        }))
    }

    /// The ids and groups by split, for the data set. Numbers that nobody gave are left out.
    pub(crate) fn names(&self, groups: Option<&[String]>, splits: &[Split]) -> Names {
        let by_split = |names: &[String]| {
            Split::ALL.map(|split| {
                let own = names.iter().zip(splits).filter(|(_, own)| **own == split);
                own.map(|(name, _)| name.clone()).collect()
            })
        };
        Names { ids: self.named_by.as_ref().map(|_| by_split(&self.ids)), groups: groups.map(by_split) }
    }

    /// The number of entries of a folder or table that belong to no sample.
    pub(crate) fn unused(&self, names: &[String]) -> usize {
        let known: std::collections::HashSet<&String> = self.ids.iter().collect();
        names.iter().filter(|name| !known.contains(name)).count()
    }
}

/// Refuses a table with two different values for one id.
fn contradiction(place: &str, ids: &[String], values: &Values) -> Result<(), Mistake> {
    let texts = values.clone().into_texts();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (row, id) in ids.iter().enumerate() {
        let first = *seen.entry(id).or_insert(row);
        if texts[first] != texts[row] {
            let problem = format!("id {id:?} occurs twice, with {:?} and {:?}", texts[first], texts[row]);
            return Err(Mistake::new(place, problem).help("remove one of the rows"));
        }
    }
    Ok(())
}
