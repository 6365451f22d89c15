//! Lines that are scrolled.

/// Columns that one step to the side moves.
const SIDE: usize = 8;

/// Lines, and which of them are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pane {
    lines: Vec<String>,
    top: usize,
    left: usize,
    /// The end is shown, also when lines are added.
    follows: bool,
}

/// A step in a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Pane {
    /// One that shows its end.
    pub(crate) fn following() -> Self {
        Self { follows: true, ..Self::default() }
    }

    /// Replaces the lines, and shows the same place.
    pub(crate) fn set(&mut self, lines: Vec<String>) {
        self.lines = lines;
    }

    /// Adds lines; of more than `most` the first are dropped.
    pub(crate) fn append(&mut self, lines: Vec<String>, most: usize) {
        self.lines.extend(lines);
        let too_many = self.lines.len().saturating_sub(most);
        self.lines.drain(..too_many);
        self.top = self.top.saturating_sub(too_many);
    }

    /// All lines.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Scrolls, with room for `height` lines.
    pub(crate) fn step(&mut self, step: Step, height: usize) {
        let last = self.lines.len().saturating_sub(height);
        let top = if self.follows { last } else { self.top.min(last) };
        let page = height.saturating_sub(1).max(1);
        let widest = self.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        self.top = match step {
            Step::Up => top.saturating_sub(1),
            Step::Down => top + 1,
            Step::PageUp => top.saturating_sub(page),
            Step::PageDown => top + page,
            Step::First => 0,
            Step::Last => last,
            Step::Left | Step::Right => top,
        }
        .min(last);
        match step {
            Step::Left => self.left = self.left.saturating_sub(SIDE),
            Step::Right => self.left = (self.left + SIDE).min(widest.saturating_sub(SIDE)),
            Step::Up | Step::PageUp | Step::First => self.follows = false,
            // Whoever scrolls to the end of a log follows it again.
            Step::Down | Step::PageDown | Step::Last => self.follows |= self.top == last && self.top > 0,
        }
    }

    /// The number of the first line that is shown, and the shown parts of the lines.
    pub(crate) fn shown(&self, width: usize, height: usize) -> (usize, Vec<String>) {
        let last = self.lines.len().saturating_sub(height);
        let top = if self.follows { last } else { self.top.min(last) };
        let part = |line: &String| line.chars().skip(self.left).take(width).collect();
        (top, self.lines.iter().skip(top).take(height).map(part).collect())
    }
}

/// Lines that fit a width, broken at blanks if possible.
pub(crate) fn wrapped(lines: &[String], width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut all = Vec::new();
    for line in lines {
        let mut rest: &str = line;
        loop {
            let Some((end, _)) = rest.char_indices().nth(width) else {
                all.push(rest.to_owned());
                break;
            };
            let (head, tail) = rest.split_at(end);
            let blank = if tail.starts_with(' ') { Some(end) } else { head.rfind(' ') };
            let at = blank.filter(|at| *at > 0).unwrap_or(end);
            let (head, tail) = rest.split_at(at);
            all.push(head.to_owned());
            rest = tail.trim_start();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pane(count: usize) -> Pane {
        let mut pane = Pane::default();
        pane.set((0..count).map(|line| format!("line {line}")).collect());
        pane
    }

    #[test]
    fn a_pane_stays_within_its_lines() {
        let mut pane = pane(10);
        let first = |pane: &Pane| pane.shown(80, 4).0;
        pane.step(Step::Up, 4);
        assert_eq!(first(&pane), 0);
        pane.step(Step::PageDown, 4);
        assert_eq!(first(&pane), 3);
        pane.step(Step::Last, 4);
        pane.step(Step::Down, 4);
        assert_eq!(first(&pane), 6);
        // With more room it shows more, and with fewer lines what there is.
        assert_eq!(pane.shown(80, 8).0, 2);
        pane.set(vec!["one".to_owned()]);
        assert_eq!(pane.shown(2, 4), (0, vec!["on".to_owned()]));
    }

    #[test]
    fn a_log_is_followed_until_one_scrolls_up() {
        let mut pane = Pane::following();
        let lines = |from: usize| (from..from + 5).map(|line| line.to_string()).collect::<Vec<_>>();
        pane.append(lines(0), 8);
        assert_eq!(pane.shown(9, 2).1, ["3", "4"]);
        pane.step(Step::Up, 2);
        pane.append(lines(5), 8);
        assert_eq!(pane.shown(9, 2).1, ["2", "3"], "two lines were dropped at the beginning");
        pane.step(Step::Last, 2);
        pane.append(lines(10), 8);
        assert_eq!(pane.shown(9, 2).1, ["13", "14"]);
    }

    #[test]
    fn long_lines_are_wrapped_at_blanks() {
        let lines = ["a long line of words".to_owned(), "unbreakable".to_owned(), String::new()];
        assert_eq!(wrapped(&lines, 6), ["a long", "line", "of", "words", "unbrea", "kable", ""]);
    }
}
