//! What the view says about one task.

use colearn_core::{id::ConfigurationId, table::TaskOutcome, text::one_line};

use super::{grid::Cell, state::State};
use crate::remote::{epoch_of, log_time, reason_word};

/// The details of the chosen task.
pub(super) fn lines(state: &State) -> Vec<String> {
    let Some((id, seed)) = state.task() else { return vec!["there is no task".to_owned()] };
    let name = state.grid.rows.get(state.chosen.0).map_or("", |row| row.name.as_str());
    let mut lines = vec![name.to_owned(), format!("configuration {id}, seed {seed}")];
    let Some(cell) = state.grid.cell(state.chosen.0, state.chosen.1) else {
        lines.push("this configuration does not have this seed".to_owned());
        return lines;
    };
    let attempt = if cell.attempts > 0 { format!(", attempt {}", cell.attempts) } else { String::new() };
    lines.push(in_a_line(cell) + &attempt);
    if cell.not_before > 0 {
        lines.push(format!("may run again at {} UTC", log_time(cell.not_before)));
    }
    if let Some(failure) = &cell.failure {
        lines.push(format!("{}: {}", reason_word(failure), one_line(failure.message.trim_end())));
    }
    if let Some(outcome) = outcome(state, &id, seed)
        && let TaskOutcome::Done(result) = outcome
    {
        lines.push(String::new());
        let (best, seconds) = (result.best_epoch, result.seconds);
        if best > 0 {
            lines.push(format!("best epoch {best}, {seconds:.0} s on {}", one_line(&result.device)));
        }
        for (metric, value) in result.metrics.pairs() {
            lines.push(format!("{metric}  {value:.4}"));
        }
    }
    lines
}

fn outcome<'a>(state: &'a State, id: &str, seed: u64) -> Option<&'a TaskOutcome> {
    let (fetched, _) = state.results.as_ref()?;
    let id: ConfigurationId = id.parse().ok()?;
    fetched.outcomes.get(&(id, seed))
}

/// The state of a task in a few words.
pub(super) fn in_a_line(cell: &Cell) -> String {
    let mut text = cell.mark.word().to_owned();
    if let Some(place) = &cell.place {
        let (done, all) = cell.epochs;
        text += &format!(", epoch {}, {} slot {}", epoch_of(done, all), place.0, place.1);
    }
    text
}
