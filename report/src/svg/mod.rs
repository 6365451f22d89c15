//! A small writer of SVG, with only what the charts need.

mod canvas;
mod legend;
mod scale;

pub(crate) use canvas::{Anchor, Canvas, Ink, fitted};
pub(crate) use legend::{Glyph, Legend};
pub(crate) use scale::Scale;
