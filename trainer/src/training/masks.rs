//! The masks of modality dropout of a cohort, and what replaces the dropped values.
//!
//! They are copied to the device for many steps at once. A copy waits for the device, so there is not one in every
//! step.

use std::ops::Range;

use colearn_core::settings::ModalityReplacement;
use tch::Tensor;

use super::{
    modality_dropout::{MaskShape, Presence},
    plan::Plan,
    replacement::Fill,
    source::DataSource,
};

/// Number of mask values that are copied to the device at once, unless one step needs more.
const MAX_MASK_VALUES: usize = 1 << 22;

/// The part of a modality that the members see in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mask {
    /// No member sees any of it.
    Absent,
    /// All members see all of it.
    Whole,
    /// Mask values of this shape for each member, starting at a position; `seen` is the position of the answers to
    /// whether each member sees anything.
    Partial { first: i64, shape: MaskShape, seen: usize },
}

/// The masks of several steps.
pub(super) struct Masks {
    first_step: u32,
    /// Masks by step and modality.
    steps: Vec<Vec<Mask>>,
    /// All values of all partial masks, on the device.
    values: Tensor,
    /// Whether a member sees anything of a modality in a step, for all partial masks.
    seen: Vec<bool>,
    /// By modality: what replaces dropped values; `None` where no member replaces them, so that they are zero.
    fills: Vec<Option<Fill>>,
}

impl Masks {
    /// The masks from a step on, given the ranges of samples of all steps from there on.
    pub(super) fn new(
        source: &DataSource,
        plans: &[&Plan],
        epochs: &[u32],
        (first_step, ranges): (u32, &[Range<usize>]),
    ) -> Self {
        let (mut values, mut seen): (Vec<f32>, Vec<bool>) = (Vec::new(), Vec::new());
        let mut steps = Vec::new();
        let modalities = source.modalities().len();
        let replaces = |plan: &Plan, modality: usize| plan.replacement(modality) != ModalityReplacement::Zero;
        for (step, range) in (first_step..).zip(ranges) {
            if values.len() > MAX_MASK_VALUES {
                break;
            }
            let of_modality = |modality: usize| {
                let features = source.columns(modality).1 as usize;
                let batch = MaskShape { steps: source.steps() as usize, samples: range.len(), features };
                let (shape, mask) = mask(plans, epochs, step, modality, batch);
                let of_members = mask.chunks(shape.len()).zip(plans);
                let sees = of_members
                    .map(|(mask, plan)| replaces(plan, modality) || mask.iter().any(|&here| here != 0.0));
                let sees: Vec<bool> = sees.collect();
                if !sees.contains(&true) {
                    Mask::Absent
                } else if mask.iter().all(|&here| here == 1.0) {
                    Mask::Whole
                } else {
                    let places = (values.len() as i64, seen.len());
                    values.extend(mask);
                    seen.extend(sees);
                    Mask::Partial { first: places.0, shape, seen: places.1 }
                }
            };
            steps.push((0..modalities).map(of_modality).collect());
        }
        let at = (first_step, steps.len());
        let fills = (0..modalities).map(|modality| Fill::new(source, plans, epochs, at, modality));
        let fills = fills.collect();
        let values = Tensor::from_slice(&values).to_device(source.device());
        Self { first_step, steps, values, seen, fills }
    }

    pub(super) fn covers(&self, step: u32) -> bool {
        step >= self.first_step && ((step - self.first_step) as usize) < self.steps.len()
    }

    pub(super) fn of(&self, step: u32, modality: usize) -> Mask {
        self.steps[(step - self.first_step) as usize][modality]
    }

    /// The values of a partial mask, [K, steps, samples, features].
    pub(super) fn values(&self, mask: Mask, members: i64) -> Option<Tensor> {
        let Mask::Partial { first, shape, .. } = mask else { return None };
        let [steps, samples, features] = [shape.steps, shape.samples, shape.features].map(|n| n as i64);
        let size = [members, steps, samples, features];
        Some(self.values.narrow(0, first, size.iter().product()).view(size))
    }

    /// Whether a member sees anything, or a replacement.
    pub(super) fn is_seen(&self, mask: Mask, member: usize) -> bool {
        match mask {
            Mask::Absent => false,
            Mask::Whole => true,
            Mask::Partial { seen, .. } => self.seen[seen + member],
        }
    }

    /// What replaces the dropped values of a modality, of a shape that expands to [K, steps, samples, features].
    pub(super) fn fill(&self, step: u32, modality: usize, samples: i64) -> Option<Tensor> {
        let fill = self.fills[modality].as_ref()?;
        Some(fill.values(i64::from(step - self.first_step), samples))
    }
}

/// The mask [K, steps, samples, features] of a modality, in the smallest shape that represents it.
fn mask(
    plans: &[&Plan],
    epochs: &[u32],
    step: u32,
    modality: usize,
    batch: MaskShape,
) -> (MaskShape, Vec<f32>) {
    let presences: Vec<Presence<'_>> =
        plans.iter().zip(epochs).map(|(plan, &epoch)| plan.presence(epoch, step, modality)).collect();
    let shape = presences.iter().fold(MaskShape::ONE, |shape, presence| shape.union(presence.shape(batch)));
    let mut mask = vec![0.0; plans.len() * shape.len()];
    for ((out, presence), plan) in mask.chunks_mut(shape.len()).zip(&presences).zip(plans) {
        if plan.sees(modality) {
            presence.fill(batch, shape, out);
        }
    }
    (shape, mask)
}
