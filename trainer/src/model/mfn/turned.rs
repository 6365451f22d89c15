//! Copies of one member's weights in the layout that products are fastest with.
//!
//! The first layers of NN2 and of the two gates all read the attended states: side by side they are one product. A
//! product with a transposed weight takes longer than one with a transposed copy of it, which is made once a pass.

use std::ops::Range;

use super::shape::Weights;
use crate::{host::matrix::Matrix, model::perceptron::Perceptron};

/// Widths within one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widths {
    /// A: twice the hidden units of all modalities.
    pub(super) attended: usize,
    pub(super) memory: usize,
    pub(super) nn1: usize,
    /// The hidden layers of NN2 and the two gates.
    pub(super) parts: [usize; 3],
}

impl Widths {
    /// W: the hidden layers of NN2 and the gates together.
    pub(super) fn all(&self) -> usize {
        self.parts.iter().sum()
    }

    /// The place of each of the three hidden layers among all.
    pub(super) fn places(&self) -> [Range<usize>; 3] {
        let [nn2, first, second] = self.parts;
        [0..nn2, nn2..nn2 + first, nn2 + first..nn2 + first + second]
    }

    /// The gates' place.
    pub(super) fn gates(&self) -> Range<usize> {
        self.parts[0]..self.all()
    }
}

/// The perceptrons of one member.
pub(super) struct Member {
    pub(super) nn1: Perceptron,
    /// NN2 and the two gates.
    pub(super) parts: [Perceptron; 3],
}

impl Member {
    pub(super) fn of(weights: &Weights, member: i64) -> Self {
        let [keep, take] = weights.gammas.each_ref().map(|gate| gate.member(member));
        Self { nn1: weights.nn1.member(member), parts: [weights.nn2.member(member), keep, take] }
    }
}

/// The copies.
pub(super) struct Turned {
    widths: Widths,
    /// [A, NN1], [NN1, A].
    pub(super) nn1_first: Vec<f32>,
    pub(super) nn1_second: Vec<f32>,
    /// The first layers of NN2 and the gates, as far as they act on the attended states: [W, A] and its transpose.
    pub(super) firsts: Vec<f32>,
    pub(super) firsts_turned: Vec<f32>,
    /// The first layers of the gates, as far as they act on the memory: [gates, M] and its transpose.
    pub(super) recurrent: Vec<f32>,
    pub(super) recurrent_turned: Vec<f32>,
    /// The second layers of NN2 and the gates, transposed: [width, M].
    pub(super) seconds: [Vec<f32>; 3],
}

impl Turned {
    pub(super) fn new(widths: Widths) -> Self {
        let Widths { attended, memory, nn1, parts } = widths;
        let [firsts, recurrent] = [widths.all() * attended, widths.gates().len() * memory];
        let zeros = |len: usize| vec![0.0; len];
        Self {
            widths,
            nn1_first: zeros(attended * nn1),
            nn1_second: zeros(attended * nn1),
            firsts: zeros(firsts),
            firsts_turned: zeros(firsts),
            recurrent: zeros(recurrent),
            recurrent_turned: zeros(recurrent),
            seconds: parts.map(|width| zeros(width * memory)),
        }
    }

    /// Makes the copies that are not transposed, which the backward pass needs.
    ///
    /// # Safety
    /// Nothing may change the weights meanwhile.
    pub(super) unsafe fn stack(&mut self, member: &Member) {
        let Widths { attended, memory, .. } = self.widths;
        let gates = self.widths.parts[0];
        for ((number, part), place) in member.parts.iter().enumerate().zip(self.widths.places()) {
            // SAFETY: the caller excludes changes.
            let weight = unsafe { Matrix::of(&part.first.weight) };
            weight
                .columns(0..attended)
                .copy_to(&mut self.firsts[place.start * attended..place.end * attended]);
            if number > 0 {
                let place = (place.start - gates) * memory..(place.end - gates) * memory;
                weight.columns(attended..attended + memory).copy_to(&mut self.recurrent[place]);
            }
        }
    }

    /// Makes all copies.
    ///
    /// # Safety
    /// Nothing may change the weights meanwhile.
    pub(super) unsafe fn turn(&mut self, member: &Member) {
        let Widths { attended, memory, .. } = self.widths;
        // SAFETY: the caller excludes changes.
        unsafe {
            self.stack(member);
            Matrix::of(&member.nn1.first.weight).transpose_to(&mut self.nn1_first);
            Matrix::of(&member.nn1.second.weight).transpose_to(&mut self.nn1_second);
            for (part, turned) in member.parts.iter().zip(&mut self.seconds) {
                Matrix::of(&part.second.weight).transpose_to(turned);
            }
        }
        Matrix::new(&self.firsts, attended).transpose_to(&mut self.firsts_turned);
        Matrix::new(&self.recurrent, memory).transpose_to(&mut self.recurrent_turned);
    }
}
