//! The measured figures and their goals.

/// One line of output.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

/// The goal of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// All measured figures. Each is printed when it is known, and all are printed at the end.
#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Option<Goal>,
    ) {
        let figure = Figure { what: what.into(), value, unit, goal };
        println!("{}", figure.line());
        self.0.push(figure);
    }

    pub(crate) fn print(&self) {
        println!("\nall figures:");
        for figure in &self.0 {
            println!("{}", figure.line());
        }
    }
}

impl Figure {
    fn line(&self) -> String {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(goal)) => verdict("at least", goal, self.value / goal, self.value >= goal),
            Some(Goal::AtMost(goal)) => verdict("at most", goal, self.value / goal, self.value <= goal),
        };
        format!("{:<62}{:>12} {:<8}{goal}", self.what, short(self.value), self.unit)
    }
}

fn verdict(word: &str, goal: f64, ratio: f64, reached: bool) -> String {
    let missed = if reached { "" } else { "  MISSED" };
    format!("goal {word} {}, {ratio:.2} of it{missed}", short(goal))
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// The value below which this percentage of the values is.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
