//! The loss that training minimises.

use tch::{Kind, Tensor};

/// A loss over a batch, computed for each member separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross entropy in nats (`torch.nn.CrossEntropyLoss`): outputs are logits [K, B, O], labels classes [K, B].
    CrossEntropy,
    /// Absolute error (`torch.nn.L1Loss`): outputs are [K, B, 1], labels numbers [K, B].
    L1,
}

impl Objective {
    /// The mean loss of each member [K], and its gradient with respect to the outputs [K, B, O].
    pub(super) fn loss_and_grad(self, outputs: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
        let samples = outputs.size()[1] as f64;
        let labels = labels.unsqueeze(2);
        let mean = |x: &Tensor| x.mean_dim([1_i64, 2].as_slice(), false, None::<Kind>);
        match self {
            Self::CrossEntropy => {
                let log = outputs.log_softmax(-1, None::<Kind>);
                let losses = -mean(&log.gather(2, &labels, false));
                // (softmax - one hot) / B.
                let ones = labels.ones_like().to_kind(log.kind());
                (losses, log.exp().scatter_add(2, &labels, &-ones) / samples)
            }
            Self::L1 => {
                let errors = outputs - labels.to_kind(outputs.kind());
                // Where output and label are equal the sign is 0, as in PyTorch.
                (mean(&errors.abs()), errors.sign() / samples)
            }
        }
    }

    /// For each member, the sum of the losses of the batch's samples: `[K]` in double precision, so that sums of
    /// batches of different sizes can be added.
    pub fn sums(self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        let labels = labels.unsqueeze(2);
        let outputs = outputs.to_kind(Kind::Double);
        let losses = match self {
            Self::CrossEntropy => -outputs.log_softmax(-1, None::<Kind>).gather(2, &labels, false),
            Self::L1 => (outputs - labels.to_kind(Kind::Double)).abs(),
        };
        losses.sum_dim_intlist([1_i64, 2].as_slice(), false, None::<Kind>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members, three samples.
    fn outputs(width: i64) -> Tensor {
        let values: Vec<f64> = (0..6 * width).map(|i| (i as f64 * 1.7).sin() * 3.0).collect();
        Tensor::from_slice(&values).view([2, 3, width])
    }

    fn check(
        objective: Objective,
        outputs: &Tensor,
        labels: &Tensor,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) {
        let (losses, grads) = objective.loss_and_grad(outputs, labels);
        let sums = objective.sums(&outputs.to_kind(Kind::Float), labels);
        assert_eq!(sums.kind(), Kind::Double);
        for k in 0..2 {
            let leaf = outputs.get(k).copy().set_requires_grad(true);
            let expected = loss(&leaf, &labels.get(k));
            expected.backward();
            assert!((losses.get(k) - &expected).abs().double_value(&[]) < 1e-14);
            assert!((sums.get(k) / 3.0 - expected).abs().double_value(&[]) < 1e-6);
            assert!((grads.get(k) - leaf.grad()).abs().max().double_value(&[]) < 1e-15);
        }
    }

    #[test]
    fn cross_entropy_is_pytorchs() {
        let labels = Tensor::from_slice(&[0_i64, 3, 3, 1, 2, 0]).view([2, 3]);
        check(Objective::CrossEntropy, &outputs(4), &labels, |logits, labels| {
            logits.log_softmax(-1, None::<Kind>).nll_loss(labels)
        });
    }

    #[test]
    fn the_absolute_error_is_pytorchs() {
        let outputs = outputs(1);
        let labels = Tensor::from_slice(&[0.5, -1.0, 3.0, 0.25, 2.0, -3.0]).view([2, 3]);
        // One sample is predicted exactly.
        let _ = outputs.get(1).get(2).fill_(-3.0);
        check(Objective::L1, &outputs, &labels, |outputs, labels| {
            outputs.squeeze_dim(1).l1_loss(labels, tch::Reduction::Mean)
        });
        let (_, grads) = Objective::L1.loss_and_grad(&outputs, &labels);
        assert_eq!(grads.double_value(&[1, 2, 0]), 0.0);
    }
}
