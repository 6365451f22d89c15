//! A small writer of SVG: what the charts need and no more.

mod canvas;
mod escape;
mod legend;
mod scale;

pub(crate) use canvas::{Anchor, Canvas, Ink, fitted};
pub(crate) use escape::escape;
pub(crate) use legend::{Glyph, Legend};
pub(crate) use scale::Scale;
