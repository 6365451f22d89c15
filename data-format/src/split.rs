//! One split of an open data set, whose features stay in the file.

use std::ops::Range;

/// The places of a split's tensors in the file.
#[derive(Debug)]
pub(crate) struct SplitIndex {
    /// Byte ranges in the file, by modality. Each is in bounds, aligned and a whole number of f32; `Check::split`
    /// checked it.
    pub(crate) features: Vec<Range<usize>>,
    pub(crate) labels: OwnedLabels,
}

/// Labels are copied: they are few, and in the file they may be unaligned for i64.
#[derive(Debug)]
pub(crate) enum OwnedLabels {
    Classes(Vec<i64>),
    Values(Vec<f32>),
}

/// The labels of a split, by sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a> {
    /// Classification: indices into the class names.
    Classes(&'a [i64]),
    /// Regression: finite values.
    Values(&'a [f32]),
}

/// One split of an open data set.
#[derive(Clone, Copy, Debug)]
pub struct SplitView<'a> {
    pub(crate) map: &'a [u8],
    pub(crate) index: &'a SplitIndex,
}

impl<'a> SplitView<'a> {
    /// Number of samples (N).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty split is refused at opening")]
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    /// The features of one modality, in place: `[N, T, D]` in C order. The index is that of
    /// [`Dataset::modalities`](crate::Dataset::modalities).
    ///
    /// # Panics
    /// If there is no such modality.
    #[must_use]
    pub fn features(&self, modality: usize) -> &'a [f32] {
        let bytes = &self.map[self.index.features[modality].clone()];
        as_f32(bytes).expect("alignment was checked at opening and a map does not move")
    }

    /// The labels, by sample.
    #[must_use]
    pub fn labels(&self) -> Labels<'a> {
        self.index.labels.view()
    }
}

impl Labels<'_> {
    /// Number of samples.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty split is refused at opening")]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Values(labels) => labels.len(),
        }
    }
}

impl OwnedLabels {
    pub(crate) fn view(&self) -> Labels<'_> {
        match self {
            Self::Classes(labels) => Labels::Classes(labels),
            Self::Values(labels) => Labels::Values(labels),
        }
    }
}

/// The same bytes as numbers, if their address is aligned for f32.
pub(crate) fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is a valid f32; `align_to` takes care of bounds and alignment.
    let (before, values, after) = unsafe { bytes.align_to::<f32>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}
