//! `colearn compare`.

use std::collections::{BTreeMap, BTreeSet};

use colearn_core::{id::SweepName, names::Names, table::ResultsTable};
use colearn_report::{
    Material,
    compare::{self, Across, Pairs, Sheet, Side},
};
use serde_json::Value;

use super::results::{History, fetch_results, own_provenance, warn_anyway};
use crate::{
    args::{CompareArgs, CompareFormat, Compared},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    layout::{Column, Role, fitted, sentence, width},
};

/// `colearn compare A B`.
pub(crate) async fn compare(arguments: &CompareArgs) -> Outcome {
    let CompareArgs { compared, target, metric, confidence, across, format } = arguments;
    let whole = compared.iter().filter(|it| it.configuration.is_none()).count();
    if whole > 0 && whole < compared.len() {
        let why = "compare sweeps with sweeps, or configurations with configurations: a name without `/` is a sweep";
        return Err(Failure::new(Exit::Usage, why));
    }
    if *across && whole == 0 {
        return Err(Failure::new(Exit::Usage, "--across compares sweeps: leave out the configurations"));
    }
    let is_across = whole > 2 || *across;
    let mut seen = BTreeSet::new();
    if let Some(twice) = compared.iter().find(|it| is_across && !seen.insert(&it.sweep)) {
        let why = format!(
            "`{}` is named twice: name it once, or its results would count as independent ones",
            twice.sweep
        );
        return Err(Failure::new(Exit::Usage, why));
    }
    let mut fetched: BTreeMap<&SweepName, (Material, ResultsTable)> = BTreeMap::new();
    let mut connection = Connection::open_to_look(target).await?;
    for Compared { sweep, .. } in compared {
        if !fetched.contains_key(sweep) {
            let results = fetch_results(&mut connection.sweeps, sweep.as_str(), History::LeftOut).await?;
            warn_anyway(&results);
            fetched.insert(sweep, results.into_material(own_provenance()));
        }
    }
    connection.close().await;
    let bad = |why: String| Failure::new(Exit::Usage, why);
    let sweeps: Vec<(&Material, &ResultsTable)> = compared
        .iter()
        .filter_map(|it| fetched.get(&it.sweep).map(|(material, table)| (material, table)))
        .collect();
    let compared = match sweeps.as_slice() {
        _ if whole == 0 => {
            let sides = sides(compared, &sweeps)?;
            let Some((first, others)) = sides.split_first() else { return Ok(Exit::Success) };
            Comparison::Pairs(compare::configurations(first, others, metric, *confidence).map_err(bad)?)
        }
        [first, second] if !is_across => {
            Comparison::Pairs(compare::sweeps(*first, *second, metric, *confidence).map_err(bad)?)
        }
        several => Comparison::Across(compare::across(several, metric, *confidence).map_err(bad)?),
    };
    compared.print(*format);
    Ok(Exit::Success)
}

/// The configurations that the arguments name.
fn sides<'m>(
    compared: &[Compared],
    sweeps: &[(&'m Material, &'m ResultsTable)],
) -> Result<Vec<Side<'m>>, Failure> {
    let mut sides = Vec::new();
    for (it, (material, table)) in compared.iter().zip(sweeps) {
        let Some(wanted) = &it.configuration else { continue };
        let found = Names::of_rows(table).find_row(table, wanted);
        let row = found.map_err(|unknown| Failure::new(Exit::NotFound, unknown))?;
        sides.push(Side::of(material, table, row));
    }
    Ok(sides)
}

enum Comparison {
    Pairs(Pairs),
    Across(Across),
}

impl Comparison {
    fn print(&self, format: CompareFormat) {
        let (sheets, legend, warnings) = match self {
            Self::Pairs(pairs) => (pairs.sheets(), pairs.legend(), &pairs.warnings),
            Self::Across(across) => (across.sheets(), across.legend(), &across.warnings),
        };
        match format {
            CompareFormat::Table => {
                let width = width();
                let mut text: String = sheets.iter().map(|sheet| for_people(sheet, width) + "\n").collect();
                text += &sentence(&legend, width);
                for warning in warnings {
                    text += &sentence(&format!("warning: {warning}"), width);
                }
                out!("{text}");
                return;
            }
            CompareFormat::Markdown => {
                let text: Vec<String> = sheets.iter().map(Sheet::markdown).collect();
                outln!("{}\n\n{legend}", text.join("\n\n"));
            }
            CompareFormat::Json => {
                let document = match self {
                    Self::Pairs(pairs) => pairs.json(),
                    Self::Across(across) => across.json(),
                };
                outln!("{document:#}");
            }
            CompareFormat::Csv => {
                let records: Vec<Vec<Value>> = match self {
                    Self::Pairs(pairs) => pairs.records(),
                    Self::Across(across) => across.records(),
                };
                out!("{}", compare::csv(&records));
            }
        }
        for warning in warnings {
            noteln!("warning: {warning}");
        }
    }
}

fn for_people(sheet: &Sheet, width: usize) -> String {
    let column = |(index, heading): (usize, &String)| {
        let cell = |row: &Vec<String>| row.get(index).cloned().unwrap_or_default().replace(" ± ", "±");
        let role = match heading.as_str() {
            _ if index == 0 => Role::Key,
            // Numbers of results.
            "n" | "pairs" => Role::Repeated,
            // The order of the other columns is kept.
            _ => Role::Moves,
        };
        let heading = match heading.len() {
            13.. if index > 0 => heading.replace(' ', "\n"),
            _ => heading.clone(),
        };
        Column { heading, cells: sheet.rows.iter().map(cell).collect(), words: index == 0, role }
    };
    let columns: Vec<Column> = sheet.heading.iter().enumerate().map(column).collect();
    let mut text = format!("{}\n{}\n", sheet.title, fitted(&columns, &[], width));
    for note in &sheet.notes {
        text += &sentence(note, width);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_of_many_sweeps_fit_eighty_columns() {
        let sweep = |at: usize| format!("a-sweep-with-a-rather-long-name-number-{at}");
        let heading = ["configuration", "n"].map(str::to_owned).into_iter();
        let others = ["interquartile mean", "P(better than baseline)", "average rank"].map(str::to_owned);
        let name = format!("audio=0.8 video=0.8 note={}", "x".repeat(90));
        let row = |name: &str| {
            let cells = (0..5).map(|_| "0.512".to_owned());
            let cells = [name.to_owned(), "25".to_owned()].into_iter().chain(cells);
            cells.chain(["0.512 [0.490, 0.533]", "0.612 [0.490, 0.733]", "1.50"].map(str::to_owned)).collect()
        };
        let sheet = Sheet {
            title: "accuracy, higher is better".to_owned(),
            heading: heading.chain((0..5).map(sweep)).chain(others).collect(),
            rows: vec![row("unimodal"), row(&name)],
            notes: Vec::new(),
        };
        let text = for_people(&sheet, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let rules = text.lines().filter(|line| line.starts_with('─')).count();
        assert!(rules > 1, "{text}");
        assert_eq!(text.matches(" 25").count(), 2 * rules, "every block has the number of results: {text}");
        for at in 0..5 {
            assert!(text.contains(&sweep(at)), "{text}");
        }
    }
}
