//! The state and its pictures, without a terminal.

use std::{
    os::fd::AsFd as _,
    process::{Command, Stdio},
};

use colearn_proto::v1::{self, SweepSummary, TaskCounts, TaskId, TaskRow, TaskState};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};

use super::{
    draw::draw,
    grid::Grid,
    screen,
    state::{Effect, Event, Kind, State, Tab, Wants},
};

const SIZES: [(u16, u16); 5] = [(40, 12), (80, 24), (81, 13), (120, 40), (300, 90)];

fn task(configuration: usize, seed: u64, state: TaskState) -> TaskRow {
    let id = TaskId { sweep: 1, configuration: format!("{configuration:016x}"), seed };
    let (epoch, epochs) = if state == TaskState::Running { (3, 40) } else { (0, 0) };
    let name = format!("audio=0.{configuration} video=0.{configuration}");
    TaskRow { task: Some(id), state: state.into(), name, epoch, epochs, attempts: 1, ..TaskRow::default() }
}

fn tasks(configurations: usize, seeds: u64, state: impl Fn(usize, u64) -> TaskState) -> Vec<TaskRow> {
    let all = (0..configurations).flat_map(|row| (0..seeds).map(move |seed| (row, seed)));
    all.map(|(row, seed)| task(row, seed, state(row, seed))).collect()
}

fn progress(line: &str) -> Event {
    let tasks = Some(TaskCounts { total: 10, ..TaskCounts::default() });
    let summary = SweepSummary { name: "demo".into(), tasks, ..SweepSummary::default() };
    Event::Progress(Box::new(summary), line.to_owned(), 0.5)
}

fn state(rows: Vec<TaskRow>) -> State {
    let mut state = State::new("demo", Kind::Watch, true);
    state.apply(progress("2/10 tasks done, 1 running, 3.4 tasks/min, about 2 min 3 s left"));
    state.apply(Event::Tasks(Grid::of(rows)));
    state
}

fn small() -> State {
    state(tasks(4, 3, |row, seed| match (row, seed) {
        (0, _) => TaskState::Done,
        (1, 0) => TaskState::Running,
        (1, 1) => TaskState::Failed,
        (3, _) => TaskState::Cancelled,
        _ => TaskState::Pending,
    }))
}

fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        effect = state.apply(Event::Key(code.into()));
    }
    effect
}

fn picture(state: &mut State, (width, height): (u16, u16)) -> Buffer {
    state.apply(Event::Size(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    buffer.content.chunks(width).map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
}

fn text(state: &mut State, size: (u16, u16)) -> String {
    lines(&picture(state, size)).join("\n")
}

#[test]
fn the_grid_has_a_letter_for_each_state() {
    let shown = text(&mut small(), (80, 24));
    let row = |at: usize| shown.lines().nth(3 + at).unwrap().trim_end().to_owned();
    assert!(shown.starts_with("demo  2/10 tasks done"), "{shown}");
    assert_eq!(row(0), "audio=0.0 video=0.0 >D D D  3/3");
    assert_eq!(row(1), "audio=0.1 video=0.1  R F .  0/3");
    assert_eq!(row(3), "audio=0.3 video=0.3  C C C  0/3");
    assert!(shown.contains("audio=0.0 video=0.0 seed 0: done"), "{shown}");
    assert!(shown.contains("D done  R running  . pending  A again  F failed  C cancelled"), "{shown}");
}

#[test]
fn colours_are_added_only_where_they_are_wanted() {
    let colours = |state: &mut State| {
        let buffer = picture(state, (80, 24));
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    let mut state = small();
    assert!(colours(&mut state) > 0);
    state.colours = false;
    for tab in Tab::ALL {
        state.tab = tab;
        assert_eq!(colours(&mut state), 0, "{tab:?}");
    }
}

#[test]
fn every_view_fits_every_size_and_leaves_nothing_behind() {
    let mut state = small();
    let backend = TestBackend::new(300, 90);
    let mut terminal = Terminal::new(backend).unwrap();
    for keys in ["1", "\n", "\n?", "?2", "3", "a", "4", "5", "?"] {
        press(&mut state, keys);
        for size in SIZES.into_iter().chain(SIZES.into_iter().rev()).chain([(39, 12), (40, 11), (1, 1)]) {
            let fresh = picture(&mut state, size);
            terminal.backend_mut().resize(size.0, size.1);
            terminal.draw(|frame| draw(frame, &state)).unwrap();
            assert_eq!(terminal.backend().buffer(), &fresh, "{keys:?} {size:?}");
        }
    }
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    for size in [(39, 12), (40, 11), (80, 5)] {
        let shown = text(&mut small(), size);
        assert!(shown.contains("40 x 12"), "{shown}");
    }
    assert!(!text(&mut small(), (40, 12)).contains("40 x 12"));
}

#[test]
fn the_smallest_screen_has_all_keys_and_what_is_chosen() {
    let mut state = small();
    let shown = text(&mut state, (40, 12));
    assert!(shown.contains("1Grid 2Results 3Curves 4Workers 5Log"), "{shown}");
    assert!(shown.contains("audio=0.0 video=0.0 seed 0: done"), "{shown}");
    press(&mut state, "?");
    let shown = text(&mut state, (40, 12));
    for key in ["Tab, 1 to 5", "hjkl", "Enter", "q, Esc", "Ctrl-C", "quit; the sweep goes on"] {
        assert!(shown.contains(key), "{key}: {shown}");
    }
}

#[test]
fn ten_thousand_tasks_are_shown_in_pages() {
    let rows = tasks(2000, 5, |row, _| if row == 1999 { TaskState::Failed } else { TaskState::Pending });
    let mut state = state(rows);
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("rows 1-18 of 2000"), "{shown}");
    press(&mut state, "G");
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("rows 1983-2000 of 2000") && shown.contains("audio=0.1999"), "{shown}");
    press(&mut state, "gn");
    assert_eq!(state.chosen, (1999, 0), "the next task that failed");
    // A picture costs as much as what is on it: a second would be noticed with much less than 200.
    let began = std::time::Instant::now();
    for _ in 0..200 {
        press(&mut state, "j");
        text(&mut state, (80, 24));
    }
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn many_seeds_are_shown_in_pages_too() {
    let mut state = state(tasks(3, 1000, |_, _| TaskState::Done));
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("seeds 1-12 of 1000"), "{shown}");
    for _ in 0..12 {
        press(&mut state, "l");
    }
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("seeds 13-24 of 1000") && shown.contains("1000/1000"), "{shown}");
}

#[test]
fn keys_change_the_view_and_esc_goes_back_one_step() {
    let mut state = small();
    press(&mut state, "\t\t");
    assert_eq!(state.tab, Tab::Curves);
    press(&mut state, "1jl\n");
    assert_eq!((state.chosen, state.details), ((1, 1), true));
    assert_eq!(press(&mut state, "?\u{1b}"), None);
    assert_eq!((state.help, state.details), (false, true));
    assert_eq!(press(&mut state, "q"), None);
    assert_eq!(press(&mut state, "q"), Some(Effect::Leave));
    assert_eq!(press(&mut state, "\u{1b}"), Some(Effect::Leave));
    let stop = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.apply(Event::Key(stop)), Some(Effect::Interrupt));
    let pause = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    assert_eq!(state.apply(Event::Key(pause)), Some(Effect::Suspend));
    press(&mut state, "hhkkkjjjjjjjjlllll");
    assert_eq!(state.chosen, (3, 2), "it stays in the grid");
}

#[test]
fn details_say_why_a_task_failed_in_as_many_lines_as_it_takes() {
    let mut rows = tasks(2, 2, |_, _| TaskState::Failed);
    let message = format!("the loss is not finite {}\u{1b}[31m end", "x ".repeat(200));
    let reason = v1::FailureReason::Diverged.into();
    rows[0].failure = Some(v1::Failure { reason, message });
    let mut state = state(rows);
    press(&mut state, "\n");
    let shown = text(&mut state, (40, 12));
    assert!(shown.contains("diverged: the loss is not finite"), "{shown}");
    press(&mut state, "G");
    let shown = text(&mut state, (40, 12));
    assert!(shown.contains(" end") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn only_what_is_shown_is_asked_for() {
    let mut state = small();
    assert_eq!(state.wants(), Wants::default());
    press(&mut state, "2");
    assert_eq!(state.wants(), Wants { results: true, ..Wants::default() });
    press(&mut state, "3");
    let first = format!("{:016x}", 0);
    assert_eq!(state.wants(), Wants { curves: Some((first.clone(), 3)), ..Wants::default() });
    let seeds = (0..3).map(|seed| (seed, Vec::new())).collect();
    state.apply(Event::Curves { configuration: first.clone(), done: 3, seeds });
    assert_eq!(state.wants(), Wants::default(), "they are known, though they are empty");
    press(&mut state, "5");
    assert_eq!(state.wants(), Wants { log: Some((first, 0)), ..Wants::default() });
}

#[test]
fn curves_are_means_of_the_seeds_that_are_done() {
    use colearn_core::result::EpochRecord;
    let mut state = small();
    let curve = |loss: f64| (1..=5).map(|epoch| EpochRecord::of_network(epoch, loss, loss, 0.5)).collect();
    let seeds = [(0, curve(1.0)), (1, curve(3.0))].into_iter().collect();
    state.apply(Event::Curves { configuration: format!("{:016x}", 0), done: 2, seeds });
    press(&mut state, "3");
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("audio=0.0 video=0.0: mean of 2 of 3 seeds"), "{shown}");
    assert!(shown.contains("valid_accuracy") && !shown.contains("train_loss"), "{shown}");
    press(&mut state, "c");
    let shown = text(&mut state, (80, 24));
    assert!(
        shown.contains("train_loss") && shown.contains("valid_loss") && shown.contains("2.000"),
        "{shown}"
    );
    press(&mut state, "al");
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("seed 1") && shown.contains("3.000"), "{shown}");
}

#[test]
fn curves_of_running_tasks_grow_until_the_tasks_have_their_own() {
    use colearn_core::result::EpochRecord;
    let mut state = small();
    press(&mut state, "j3");
    let id = format!("{:016x}", 1);
    assert_eq!(state.wants(), Wants { running: Some(id.clone()), ..Wants::default() });
    assert!(text(&mut state, (80, 24)).contains("a curve is here as soon as"));
    let curve = |epochs: std::ops::RangeInclusive<u32>| {
        epochs.map(|epoch| EpochRecord::of_network(epoch, 1.0, 1.0, 0.25)).collect::<Vec<_>>()
    };
    let running = |seeds: &[(u64, Vec<EpochRecord>)]| Event::Running {
        configuration: format!("{:016x}", 1),
        seeds: seeds.iter().cloned().collect(),
    };
    // The coordinator may know a task that the grid does not show as running: seed 1 has failed.
    state.apply(running(&[(0, curve(1..=3)), (1, curve(1..=9))]));
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("audio=0.1 video=0.1: mean of 1 of 3 seeds, 1 running "), "{shown}");
    assert!(shown.contains("valid_accuracy") && shown.contains("0.250"), "{shown}");
    let last = |shown: &str| shown.lines().rev().nth(1).unwrap().trim_end().to_owned();
    assert!(last(&shown).ends_with('3'), "{shown}");
    state.apply(running(&[(0, curve(4..=8))]));
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("1 running since 4") && last(&shown).ends_with('8'), "{shown}");
    press(&mut state, "a");
    assert!(text(&mut state, (80, 24)).contains("seed 0, running since 4"));
    press(&mut state, "a");
    // The task is done: what is known of it stays until its history is there.
    let mut rows = tasks(4, 3, |_, _| TaskState::Pending);
    rows[3].state = TaskState::Done.into();
    state.apply(Event::Tasks(Grid::of(rows)));
    assert_eq!(state.wants().running, None);
    assert!(text(&mut state, (80, 24)).contains("1 running since 4"));
    let seeds = [(0, curve(1..=10))].into_iter().collect();
    state.apply(Event::Curves { configuration: id, done: 1, seeds });
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("mean of 1 of 3 seeds ") && !shown.contains("since"), "{shown}");
    assert!(last(&shown).ends_with("10"), "{shown}");
    press(&mut state, "k");
    assert!(!text(&mut state, (80, 24)).contains("0.250"), "those of another configuration are not shown");
}

#[test]
fn the_log_is_that_of_the_chosen_task_and_events_are_below() {
    let mut state = small();
    press(&mut state, "5");
    let of = |seed| (format!("{:016x}", 0), seed);
    state.apply(Event::Log(of(0), vec!["epoch 1".to_owned()]));
    state.apply(Event::Log(of(1), vec!["of another task".to_owned()]));
    state.apply(Event::Said("warning: \u{1b}[2J a host is slow".to_owned()));
    let mut rows = tasks(4, 3, |_, _| TaskState::Running);
    rows[4].state = TaskState::Done.into();
    state.apply(Event::Tasks(Grid::of(rows)));
    let shown = text(&mut state, (80, 24));
    assert!(shown.contains("epoch 1") && !shown.contains("of another task"), "{shown}");
    assert!(shown.contains("warning:  [2J a host is slow"), "{shown}");
    assert!(shown.contains("audio=0.1 video=0.1 seed 1: done"), "{shown}");
    press(&mut state, "1l5");
    assert!(!text(&mut state, (80, 24)).contains("epoch 1"), "another task is chosen");
}

#[test]
fn the_chosen_task_stays_chosen_when_a_sweep_is_extended() {
    let mut state = small();
    press(&mut state, "jl");
    let before = state.task();
    let mut rows = tasks(5, 4, |_, _| TaskState::Pending);
    rows.rotate_left(4);
    state.apply(Event::Tasks(Grid::of(rows)));
    assert_eq!((state.task(), state.chosen), (before, (0, 1)));
}

/// Takes the terminal and panics, for the test below.
#[test]
#[ignore = "needs a terminal of its own"]
fn panics_with_the_view() {
    screen::enter().unwrap();
    screen::line("said before the panic");
    let _ = screen::while_up(|| -> std::io::Result<()> { panic!("a mistake in a picture") });
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_readable() {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let modes = || nix::sys::termios::tcgetattr(pty.master.as_fd()).unwrap();
    let before = modes();
    let end = || Stdio::from(pty.slave.try_clone().unwrap());
    let name = "view::tests::panics_with_the_view";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env("RUST_BACKTRACE", "0");
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    // All ends of the terminal in this process are closed, so that reading ends with the child.
    drop((command, pty.slave));
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = nix::unistd::read(pty.master.as_fd(), &mut part) {
        seen.extend_from_slice(&part[..length]);
    }
    assert!(!child.wait().unwrap().success());
    assert_eq!(modes(), before, "raw mode has ended");
    let mut screen = vt100::Parser::default();
    screen.process(&seen);
    let shown = screen.screen().contents();
    assert!(String::from_utf8_lossy(&seen).contains("\u{1b}[?1049h"), "there was a view");
    assert!(!screen.screen().alternate_screen() && !screen.screen().hide_cursor(), "{shown}");
    assert!(shown.contains("a mistake in a picture") && shown.contains("said before the panic"), "{shown}");
}
