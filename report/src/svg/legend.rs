//! The legend of a chart: its lines and marks, with their names.

use super::canvas::{Anchor, Canvas, Ink, fitted};

/// The symbol of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Glyph {
    /// A line with a dot.
    Line(Ink),
    /// A dashed line.
    Dashed(Ink),
    /// A dotted line.
    Dotted(Ink),
    /// A hollow diamond.
    Diamond(Ink),
    /// A hollow dot.
    Hollow(Ink),
}

impl Glyph {
    /// The pattern of a dashed line.
    pub(crate) const DASHES: &'static str = "5 4";
    /// The pattern of a dotted line.
    pub(crate) const DOTS: &'static str = "2 3";
}

/// The entries of a legend, laid out in rows.
#[derive(Debug, Default)]
pub(crate) struct Legend {
    entries: Vec<(Glyph, String)>,
}

const GLYPH: f64 = 24.0;
const GAP: f64 = 16.0;
const ROW: f64 = 19.0;

impl Legend {
    pub(crate) fn add(&mut self, glyph: Glyph, text: impl Into<String>) {
        self.entries.push((glyph, text.into()));
    }

    /// Height of the legend in a chart of this width.
    pub(crate) fn height(&self, width: f64) -> f64 {
        self.places(width).last().map_or(0.0, |(_, y, _)| y + ROW)
    }

    /// The position of each entry, and its text cut to the available width.
    fn places(&self, width: f64) -> Vec<(f64, f64, String)> {
        let (mut x, mut y) = (0.0, 0.0);
        self.entries
            .iter()
            .map(|(_, text)| {
                let text = fitted(text, width - GLYPH - 6.0);
                let wide = GLYPH + 6.0 + text.chars().count() as f64 * Canvas::CHARACTER;
                if x > 0.0 && x + wide > width {
                    (x, y) = (0.0, y + ROW);
                }
                let place = (x, y, text);
                x += wide + GAP;
                place
            })
            .collect()
    }

    /// Draws the legend with its upper left corner at `at`.
    pub(crate) fn draw(&self, canvas: &mut Canvas, at: (f64, f64), width: f64) {
        for ((glyph, _), (x, y, text)) in self.entries.iter().zip(self.places(width)) {
            let (x, middle) = (at.0 + x, at.1 + y + ROW / 2.0);
            let centre = (x + GLYPH / 2.0, middle);
            match glyph {
                Glyph::Line(ink) => {
                    canvas.line((x, middle), (x + GLYPH, middle), *ink, 2.0, "");
                    canvas.dot(centre, 3.0, *ink, false, "");
                }
                Glyph::Dashed(ink) => {
                    canvas.line((x, middle), (x + GLYPH, middle), *ink, 1.5, Glyph::DASHES);
                }
                Glyph::Dotted(ink) => {
                    canvas.line((x, middle), (x + GLYPH, middle), *ink, 1.5, Glyph::DOTS);
                }
                Glyph::Diamond(ink) => canvas.diamond(centre, 4.5, *ink, ""),
                Glyph::Hollow(ink) => canvas.dot(centre, 3.5, *ink, true, ""),
            }
            canvas.text((x + GLYPH + 6.0, middle + 4.5), Anchor::Start, Ink::Text, Canvas::TEXT, &text);
        }
    }
}
