//! `colearn tasks NAME`: printed part by part, because a sweep may have a hundred thousand tasks.

use colearn_proto::v1::{self, TaskRow, TaskState};

use super::{
    Client, excerpt, json,
    labels::{called, epoch_of, now, one_line, reason_word, task_state_word},
    pages,
    request::answered,
};
use crate::{
    args::{State, TasksArgs},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    layout::{Lines, Shape, width},
    output::Output,
    progress::human,
};

/// `colearn tasks NAME`.
pub(crate) async fn tasks(arguments: &TasksArgs) -> Outcome {
    let TasksArgs { name, target, only, all, json } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open_to_look(target).await?;
    let client = &mut connection.sweeps;
    let states: Vec<TaskState> = only.iter().map(|state| wire(*state)).collect();
    let counts = match *all || *json {
        true => None,
        false => pages::sweep(client, name, Some(1)).await?.sweep.and_then(|sweep| sweep.tasks),
    };
    let mut printer = Printer::new(name, *json, width());
    let mut out = Output::new();
    let mut found = 0;
    let parts = counts.as_ref().and_then(|counts| excerpt::tasks(counts, &states));
    let is_part = parts.is_some();
    let parts = match parts {
        Some(parts) => parts.into_iter().map(|(state, most)| (vec![state], most)).collect(),
        None => vec![(states.clone(), u64::MAX)],
    };
    for (states, most) in parts {
        let states = states.into_iter().map(Into::into).collect();
        let answer = client
            .list_tasks(v1::ListTasksRequest { name: name.to_owned(), states, configurations: Vec::new() })
            .await;
        let mut parts = answered(client, name, answer).await?;
        let mut left = most;
        while left > 0
            && let Some(part) = parts.message().await.map_err(|status| client.failure(&status))?
        {
            let mut rows = part.tasks;
            rows.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= rows.len() as u64;
            found += rows.len() as u64;
            out.write(&printer.rows(&rows, now()))?;
            out.flush()?;
        }
    }
    out.write(&printer.end())?;
    if let Some(counts) = counts.filter(|_| is_part) {
        let words: Vec<&str> = states.iter().map(|state| task_state_word(*state)).collect();
        let only = if words.is_empty() { String::new() } else { format!(" --only {}", words.join(",")) };
        let see_all = format!("colearn tasks {name}{only} --all{}", target.typed());
        out.write(&format!("{}\n", excerpt::note_on_tasks(&counts, &states, found, &see_all)))?;
    }
    out.flush()?;
    connection.close().await;
    if found == 0 && !json {
        noteln!("{name}: no task is in the requested states");
    }
    Ok(Exit::Success)
}

/// All tasks of a sweep.
///
/// # Errors
/// If there is no such sweep, or no answer.
pub(crate) async fn tasks_of(client: &mut Client, name: &str) -> Result<Vec<TaskRow>, Failure> {
    tasks_in(client, name, []).await
}

/// The tasks of a sweep in these states; all tasks without states.
///
/// # Errors
/// As [`tasks_of`].
pub(super) async fn tasks_in(
    client: &mut Client,
    name: &str,
    states: impl IntoIterator<Item = TaskState>,
) -> Result<Vec<TaskRow>, Failure> {
    let states = states.into_iter().map(Into::into).collect();
    let answer = client
        .list_tasks(v1::ListTasksRequest { name: name.to_owned(), states, configurations: Vec::new() })
        .await;
    let mut parts = answered(client, name, answer).await?;
    let mut rows = Vec::new();
    while let Some(part) = parts.message().await.map_err(|status| client.failure(&status))? {
        rows.extend(part.tasks);
    }
    Ok(rows)
}

fn wire(state: State) -> TaskState {
    match state {
        State::Pending => TaskState::Pending,
        State::Running => TaskState::Running,
        State::Done => TaskState::Done,
        State::Failed => TaskState::Failed,
        State::Cancelled => TaskState::Cancelled,
    }
}

/// The output format of the list, part by part.
enum Printer {
    Plain(Lines),
    /// One JSON document, as for the other listings, with one task per line.
    Json {
        name: String,
        begun: bool,
    },
}

impl Printer {
    fn new(name: &str, json: bool, width: usize) -> Self {
        if json {
            Self::Json { name: name.to_owned(), begun: false }
        } else {
            let shapes = [
                Shape::words("configuration"),
                Shape::numbers("seed"),
                Shape::words("state"),
                Shape::numbers("attempts"),
                Shape::numbers("epochs"),
                Shape::words("worker"),
                Shape::words("reason"),
            ];
            Self::Plain(Lines::new(shapes.to_vec(), width))
        }
    }

    fn rows(&mut self, rows: &[TaskRow], now: i64) -> String {
        match self {
            Self::Plain(_) if rows.is_empty() => String::new(),
            Self::Plain(lines) => {
                let rows: Vec<_> = rows.iter().map(|row| cells(row, now)).collect();
                lines.rows(&rows)
            }
            Self::Json { name, begun } => {
                let mut text = String::new();
                for row in rows {
                    text += &if *begun { ",\n".to_owned() } else { opening(name) };
                    text += &json::task(row).to_string();
                    *begun = true;
                }
                text
            }
        }
    }

    fn end(self) -> String {
        match self {
            Self::Plain(_) => String::new(),
            Self::Json { begun: true, .. } => "\n]}\n".to_owned(),
            Self::Json { begun: false, name } => format!("{}]}}\n", opening(&name)),
        }
    }
}

fn opening(name: &str) -> String {
    format!("{{\"sweep\": {}, \"tasks\": [\n", serde_json::Value::from(name))
}

fn cells(row: &TaskRow, now: i64) -> Vec<String> {
    let task = row.task.clone().unwrap_or_default();
    let running = row.state() == TaskState::Running;
    let or_empty = |text: String| if running { text } else { String::new() };
    let mut reason = Vec::new();
    if let Some(failure) = &row.failure {
        reason.push(one_line(&format!("{}: {}", reason_word(failure), failure.message)));
    }
    if row.not_before > now {
        let wait = std::time::Duration::from_millis((row.not_before - now).unsigned_abs());
        reason.push(format!("may run again in {}", human(wait)));
    }
    vec![
        called(&row.name, &task.configuration),
        task.seed.to_string(),
        task_state_word(row.state()).to_owned(),
        row.attempts.to_string(),
        or_empty(epoch_of(row.epoch, row.epochs)),
        or_empty(format!("{} slot {}", row.worker, row.slot)),
        reason.join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, state: TaskState) -> TaskRow {
        let task = v1::TaskId { sweep: 1, configuration: "0123456789abcdef".into(), seed };
        let name = "audio=0.8 video=0.8".to_owned();
        TaskRow { task: Some(task), state: state.into(), name, ..TaskRow::default() }
    }

    fn rows() -> Vec<TaskRow> {
        let failure = v1::Failure {
            reason: v1::FailureReason::Crash.into(),
            message: "trainer was killed\nby signal 9".into(),
        };
        vec![
            TaskRow {
                attempts: 2,
                worker: "gpu01-ab".into(),
                slot: 1,
                epoch: 3,
                epochs: 40,
                ..row(0, TaskState::Running)
            },
            TaskRow { attempts: 1, failure: Some(failure), not_before: 61_000, ..row(1, TaskState::Pending) },
        ]
    }

    #[test]
    fn tasks_are_lines_of_aligned_columns() {
        let mut printer = Printer::new("small", false, 160);
        let text =
            printer.rows(&rows(), 1000) + &printer.rows(&[row(2, TaskState::Done)], 1000) + &printer.end();
        assert_eq!(
            text,
            "\
configuration        seed  state    attempts  epochs  worker           reason
audio=0.8 video=0.8     0  running         2    3/40  gpu01-ab slot 1
audio=0.8 video=0.8     1  pending         1                           crash: trainer was killed by signal 9; may run again in 1 min 0 s
audio=0.8 video=0.8     2  done            0
"
        );
    }

    #[test]
    fn tasks_fit_eighty_columns_with_the_name_above_them() {
        let mut printer = Printer::new("small", false, 80);
        let text = printer.rows(&rows(), 1000) + &printer.rows(&[row(2, TaskState::Done)], 1000);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.matches("audio=0.8 video=0.8\n").count(), 1, "{text}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains("1 pending 1 crash: trainer was"), "{text}");
    }

    #[test]
    fn json_is_one_document_however_many_parts_it_comes_in() {
        for parts in [vec![], vec![vec![]], vec![rows()], vec![rows(), vec![], rows()]] {
            let mut printer = Printer::new("small", true, 80);
            let mut text: String = parts.iter().map(|part| printer.rows(part, 0)).collect();
            text += &printer.end();
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["sweep"], "small");
            let tasks = document["tasks"].as_array().unwrap();
            assert_eq!(tasks.len(), parts.iter().map(Vec::len).sum::<usize>());
            for pair in tasks.chunks(2) {
                assert_eq!(pair[0]["epochs"], 40);
                assert_eq!(pair[0]["name"], "audio=0.8 video=0.8");
                assert_eq!(pair[0]["configuration"], "0123456789abcdef");
                assert_eq!(pair[0]["reason"], serde_json::Value::Null);
                assert_eq!(pair[1]["reason"], "crash");
                assert_eq!(pair[1]["not_before"], "1970-01-01T00:01:01.000Z");
                assert_eq!(pair[1]["worker"], serde_json::Value::Null);
            }
        }
    }
}
