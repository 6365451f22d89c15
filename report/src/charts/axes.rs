//! The frame of a chart: grid, ticks and titles.

use crate::svg::{Anchor, Canvas, Ink, Scale, fitted};

/// The plot area inside a chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// The range of an axis that shows means and their intervals. Intervals of two or three seeds can be much wider than
/// the range of all means. They are cut at three times that range; the drawing clamps them.
pub(super) fn range(means: &[f64], ends: &[f64], bounds: Option<(f64, f64)>) -> (f64, f64) {
    let lowest = means.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !lowest.is_finite() || !highest.is_finite() {
        return (0.0, 1.0);
    }
    let reach = if highest > lowest { 1.5 * (highest - lowest) } else { f64::INFINITY };
    let low = ends.iter().copied().fold(lowest, f64::min).max(lowest - reach);
    let high = ends.iter().copied().fold(highest, f64::max).min(highest + reach);
    // If the means are as far apart as f64 allows, the range is limited to these values.
    let pad = 0.06 * high - 0.06 * low;
    // A program may measure something else under the name of a network's metric: accuracy in percent.
    let bounds = bounds.filter(|(floor, ceiling)| *floor <= lowest && highest <= *ceiling);
    let (floor, ceiling) = bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let (low, high) = ((low - pad).max(floor), (high + pad).min(ceiling));
    (low.max(f64::MIN), high.min(f64::MAX))
}

/// Grid lines, about `count` ticks, and the title of the vertical axis.
pub(super) fn vertical(canvas: &mut Canvas, area: Area, scale: &Scale, count: usize, title: &str) {
    for (value, text) in scale.ticks(count) {
        let y = scale.place(value);
        canvas.line((area.left, y), (area.right, y), Ink::Grid, 1.0, "");
        canvas.text((area.left - 7.0, y + 4.5), Anchor::End, Ink::Muted, Canvas::TEXT, &text);
    }
    if !title.is_empty() {
        let middle = (area.top + area.bottom) / 2.0;
        // A longer title would overlap the legend.
        let title = fitted(title, area.bottom - area.top);
        canvas.upward_text((14.0, middle), Anchor::Middle, Ink::Text, Canvas::TEXT, &title);
    }
}

/// Line, ticks and title of the horizontal axis.
pub(super) fn horizontal(canvas: &mut Canvas, area: Area, scale: &Scale, count: usize, title: &str) {
    canvas.line((area.left, area.bottom), (area.right, area.bottom), Ink::Muted, 1.0, "");
    for (value, text) in scale.ticks(count) {
        let x = scale.place(value);
        canvas.line((x, area.bottom), (x, area.bottom + 4.0), Ink::Muted, 1.0, "");
        canvas.text((x, area.bottom + 18.0), Anchor::Middle, Ink::Muted, Canvas::TEXT, &text);
    }
    let middle = (area.left + area.right) / 2.0;
    canvas.text((middle, area.bottom + 38.0), Anchor::Middle, Ink::Text, Canvas::TEXT, title);
}

#[cfg(test)]
mod tests {
    use super::range;

    fn close(found: (f64, f64), expected: (f64, f64)) -> bool {
        (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9
    }

    #[test]
    fn an_interval_does_not_dwarf_the_means() {
        // The means are 0.1 apart: the axis reaches at most 0.15 beyond them, plus a margin of 6 %.
        let found = range(&[0.4, 0.5], &[-3.0, 4.0], None);
        assert!(close(found, (0.25 - 0.024, 0.65 + 0.024)), "{found:?}");
        let narrow = range(&[0.4, 0.5], &[0.38, 0.52], None);
        assert!(close(narrow, (0.38 - 0.0084, 0.52 + 0.0084)), "{narrow:?}");
        let bounded = range(&[0.1, 0.95], &[0.05, 1.2], Some((0.0, 1.0)));
        assert!(close(bounded, (0.0, 1.0)), "{bounded:?}");
        let percent = range(&[10.0, 95.0], &[], Some((0.0, 1.0)));
        assert!(close(percent, (10.0 - 5.1, 95.0 + 5.1)), "{percent:?}");
        assert_eq!(range(&[], &[], None), (0.0, 1.0));
        assert_eq!(range(&[-1.7e308, 1.7e308], &[-1.7e308], None), (f64::MIN, f64::MAX));
    }
}
