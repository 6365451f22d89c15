//! What is listed of a sweep whose configurations or tasks are too many for a person.

use colearn_core::text::counted;
use colearn_proto::v1::{ConfigurationProgress, TaskCounts, TaskState};

use super::labels::task_state_word;

/// Longer lists are shown in part.
pub(super) const MAX_ROWS: u64 = 100;
/// The number of configurations that are shown of such a list.
const CONFIGURATIONS: usize = 20;
/// The number of tasks that are shown of such a list, if all have one state.
const OF_ONE_STATE: u64 = 40;

/// Leaves the configurations that say most about a sweep: those with failed tasks, then those with running ones, then
/// those that are begun, then others. Returns the note about those that are left out; empty if all are left.
pub(super) fn configurations(rows: &mut Vec<ConfigurationProgress>, see_all: &str) -> String {
    let all = rows.len();
    if all as u64 <= MAX_ROWS {
        return String::new();
    }
    let of = |count: &dyn Fn(&TaskCounts) -> bool| {
        rows.iter().filter(|row| count(&row.tasks.unwrap_or_default())).count() as u64
    };
    let parts = [
        ("with failed tasks", of(&|tasks| tasks.failed > 0)),
        ("with running tasks", of(&|tasks| tasks.running > 0)),
        ("with pending tasks", of(&|tasks| tasks.pending > 0)),
        ("with cancelled tasks", of(&|tasks| tasks.cancelled > 0)),
        ("done", of(&|tasks| tasks.done == tasks.total)),
    ];
    let parts = parts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> = parts.map(|(words, count)| format!("{count} {words}")).collect();
    rows.sort_by_key(|row| {
        let tasks = row.tasks.unwrap_or_default();
        let is_begun = tasks.pending > 0 && tasks.pending < tasks.total;
        [tasks.failed > 0, tasks.running > 0, is_begun].iter().position(|is| *is).unwrap_or(3)
    });
    rows.truncate(CONFIGURATIONS);
    format!(
        "{} of {}: {}; those that failed, run or are begun come first. See all with: {see_all}",
        rows.len(),
        counted(all as u64, "configuration"),
        parts.join(", ")
    )
}

/// The states whose tasks are listed, with the number of tasks to list of each; `None` for all tasks. A list without
/// `states` has all states.
pub(super) fn tasks(counts: &TaskCounts, states: &[TaskState]) -> Option<Vec<(TaskState, u64)>> {
    let wanted = wanted(counts, states);
    if wanted.iter().map(|(_, count)| count).sum::<u64>() <= MAX_ROWS {
        return None;
    }
    let most = |state: TaskState| match (wanted.as_slice(), state) {
        ([_], _) => OF_ONE_STATE,
        (_, TaskState::Failed) => 20,
        (_, TaskState::Running) => 10,
        _ => 5,
    };
    Some(wanted.iter().map(|(state, count)| (*state, most(*state).min(*count))).collect())
}

/// The note about the tasks that are left out.
pub(super) fn note_on_tasks(counts: &TaskCounts, states: &[TaskState], shown: u64, see_all: &str) -> String {
    let wanted = wanted(counts, states);
    let parts: Vec<String> =
        wanted.iter().map(|(state, count)| format!("{count} {}", task_state_word(*state))).collect();
    let all = wanted.iter().map(|(_, count)| count).sum();
    let by_state = if wanted.len() > 1 { ", or those of one state with --only" } else { "" };
    format!("{shown} of {}: {}. See all with: {see_all}{by_state}", counted(all, "task"), parts.join(", "))
}

/// The numbers of tasks in the wanted states that have any, in the order in which they are listed.
fn wanted(counts: &TaskCounts, states: &[TaskState]) -> Vec<(TaskState, u64)> {
    let all = [
        (TaskState::Failed, counts.failed),
        (TaskState::Running, counts.running),
        (TaskState::Pending, counts.pending),
        (TaskState::Done, counts.done),
        (TaskState::Cancelled, counts.cancelled),
    ];
    let is_wanted = |state| states.is_empty() || states.contains(&state);
    all.into_iter().filter(|(state, count)| is_wanted(*state) && *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_configurations_those_that_say_most_come_first() {
        let row = |index: u64| {
            let (failed, running) = (u64::from(index == 140), u64::from(index == 120));
            let pending = if index == 149 { 1 } else { 0 };
            let done = 2 - failed - running - pending;
            ConfigurationProgress {
                configuration: index.to_string(),
                tasks: Some(TaskCounts { total: 2, done, failed, running, pending, cancelled: 0 }),
                name: String::new(),
            }
        };
        let mut rows: Vec<_> = (0..150).map(row).collect();
        let note = configurations(&mut rows, "colearn status big --all");
        let ids: Vec<&str> = rows.iter().map(|row| row.configuration.as_str()).collect();
        assert_eq!((ids.len(), &ids[..5]), (CONFIGURATIONS, ["140", "120", "149", "0", "1"].as_slice()));
        assert_eq!(
            note,
            "20 of 150 configurations: 1 with failed tasks, 1 with running tasks, 1 with pending tasks, 147 done; those \
             that failed, run or are begun come first. See all with: colearn status big --all"
        );
        let mut few: Vec<_> = (50..150).map(row).collect();
        assert_eq!((configurations(&mut few, ""), few.len()), (String::new(), 100));
        assert_eq!(few[0].configuration, "50");
    }

    #[test]
    fn of_many_tasks_some_of_each_state_are_listed() {
        let counts =
            TaskCounts { total: 1000, done: 500, failed: 30, running: 2, pending: 468, cancelled: 0 };
        use TaskState::{Cancelled, Done, Failed, Pending, Running};
        let parts = tasks(&counts, &[]).unwrap();
        assert_eq!(parts, [(Failed, 20), (Running, 2), (Pending, 5), (Done, 5)]);
        assert_eq!(tasks(&counts, &[Done]), Some(vec![(Done, 40)]));
        assert_eq!(tasks(&counts, &[Failed, Running]), None, "they are few");
        assert_eq!(tasks(&counts, &[Cancelled]), None);
        let note = note_on_tasks(&counts, &[], 32, "colearn tasks big --all");
        assert_eq!(
            note,
            "32 of 1000 tasks: 30 failed, 2 running, 468 pending, 500 done. See all with: colearn tasks big --all, or \
             those of one state with --only"
        );
        assert!(
            note_on_tasks(&counts, &[Done], 40, "colearn tasks big --only done --all").ends_with("--all")
        );
    }
}
