//! Shapes and text on a canvas, legible on a light and on a dark background.

use std::fmt::Write as _;

use crate::escape::escape;

/// A colour, named by its use. The colour for the light theme is written into the shape, for programs that ignore
/// style sheets. A style sheet replaces it if the reader prefers dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Text.
    Text,
    /// Less important text and lines; the baseline.
    Muted,
    /// Grid lines.
    Grid,
    /// The background.
    Ground,
    /// The n-th line of a chart; the first has the accent colour.
    Series(usize),
}

impl Ink {
    /// Number of lines that can be distinguished by colour.
    pub(crate) const SERIES: usize = 6;
    /// The colour that highlights.
    pub(crate) const ACCENT: Self = Self::Series(0);

    const ALL: [(&'static str, &'static str, &'static str); 10] = [
        ("text", "#1f2328", "#e6edf3"),
        ("muted", "#656d76", "#9aa4af"),
        ("grid", "#d8dee4", "#343b44"),
        ("ground", "#ffffff", "#14181d"),
        ("c0", "#1f6feb", "#6ea8fe"),
        ("c1", "#bc4c00", "#f0a35e"),
        ("c2", "#0f766e", "#4fd1c5"),
        ("c3", "#8250df", "#c297ff"),
        ("c4", "#7d5a00", "#e3c15a"),
        ("c5", "#bf3989", "#f38ab8"),
    ];

    fn entry(self) -> (&'static str, &'static str) {
        let index = match self {
            Self::Text => 0,
            Self::Muted => 1,
            Self::Grid => 2,
            Self::Ground => 3,
            Self::Series(index) => 4 + index % Self::SERIES,
        };
        (Self::ALL[index].0, Self::ALL[index].1)
    }

    fn dark_style() -> String {
        let mut style = String::from("@media (prefers-color-scheme:dark){");
        for (name, _, dark) in Self::ALL {
            // Writing to a String cannot fail, here and below.
            let _ = write!(style, ".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}");
        }
        style.push('}');
        style
    }
}

/// The position of a text relative to its anchor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    /// The text begins at the anchor.
    Start,
    /// The text is centred at the anchor.
    Middle,
    /// The text ends at the anchor.
    End,
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A drawing in progress; lengths are in units of the view box.
pub(crate) struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    /// Size of normal text.
    pub(crate) const TEXT: f64 = 13.0;
    /// Mean width of a character of this size.
    pub(crate) const CHARACTER: f64 = 6.9;

    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64, dash: &str) {
        let (name, colour) = ink.entry();
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        let _ = write!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"s-{name}\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(crate) fn path(&mut self, points: &[(f64, f64)], ink: Ink, width: f64) {
        let (name, colour) = ink.entry();
        let _ = write!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" class=\"s-{name}\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
            coordinates(points)
        );
    }

    pub(crate) fn area(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        let (name, colour) = ink.entry();
        let _ = write!(
            self.body,
            "<polygon points=\"{}\" class=\"f-{name}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>",
            coordinates(points)
        );
    }

    /// A dot, hollow or filled, that shows `hint` when pointed at.
    pub(crate) fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink, hollow: bool, hint: &str) {
        let (name, colour) = ink.entry();
        let (fill, ground) = if hollow { Ink::Ground.entry() } else { (name, colour) };
        let _ = write!(
            self.body,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" class=\"f-{fill} s-{name}\" fill=\"{ground}\" stroke=\"{colour}\" stroke-width=\"1.5\">{}</circle>",
            at.0,
            at.1,
            tooltip(hint)
        );
    }

    /// A hollow diamond that shows `hint` when pointed at.
    pub(crate) fn diamond(&mut self, at: (f64, f64), radius: f64, ink: Ink, hint: &str) {
        let (name, colour) = ink.entry();
        let corners = [(0.0, -radius), (radius, 0.0), (0.0, radius), (-radius, 0.0)];
        let corners = corners.map(|(x, y)| (at.0 + x, at.1 + y));
        let _ = write!(
            self.body,
            "<polygon points=\"{}\" fill=\"none\" class=\"s-{name}\" stroke=\"{colour}\" stroke-width=\"1.5\">{}</polygon>",
            coordinates(&corners),
            tooltip(hint)
        );
    }

    /// A rectangle from its upper left corner.
    pub(crate) fn rect(&mut self, at: (f64, f64), size: (f64, f64), ink: Ink, opacity: f64, hint: &str) {
        let (name, colour) = ink.entry();
        let _ = write!(
            self.body,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"f-{name}\" fill=\"{colour}\" fill-opacity=\"{opacity:.3}\">{}</rect>",
            at.0,
            at.1,
            size.0,
            size.1,
            tooltip(hint)
        );
    }

    pub(crate) fn text(&mut self, at: (f64, f64), anchor: Anchor, ink: Ink, size: f64, text: &str) {
        self.write_text(at, anchor, ink, size, text, "");
    }

    /// A text that runs upwards.
    pub(crate) fn upward_text(&mut self, at: (f64, f64), anchor: Anchor, ink: Ink, size: f64, text: &str) {
        let turn = format!(" transform=\"rotate(-90 {:.1} {:.1})\"", at.0, at.1);
        self.write_text(at, anchor, ink, size, text, &turn);
    }

    fn write_text(&mut self, at: (f64, f64), anchor: Anchor, ink: Ink, size: f64, text: &str, turn: &str) {
        let (name, colour) = ink.entry();
        let _ = write!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\" class=\"f-{name}\" fill=\"{colour}\" font-size=\"{size}\"{turn}>{}</text>",
            at.0,
            at.1,
            anchor.as_str(),
            escape(text)
        );
    }

    /// The SVG document. A screen reader reads `title`.
    pub(crate) fn finish(self, title: &str) -> String {
        let Self { width, height, body } = self;
        let (ground, colour) = Ink::Ground.entry();
        let title = escape(title);
        let style = Ink::dark_style();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\"><title>{title}</title><style>{style}</style><rect width=\"100%\" height=\"100%\" class=\"f-{ground}\" fill=\"{colour}\"/>{body}</svg>\n"
        )
    }
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

fn tooltip(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<title>{}</title>", escape(text)) }
}

/// Cuts a text that would be wider than `width`.
pub(crate) fn fitted(text: &str, width: f64) -> String {
    let most = (width / Canvas::CHARACTER) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
