//! What a network keeps of all its members, whatever network it is.

use tch::{Device, Kind, Tensor};

use super::layout::Layout;

/// The parameters of all members, their gradients, and what is carried beside them.
#[derive(Debug)]
pub struct Flat {
    /// What the parameters of one member are.
    pub layout: Layout,
    /// What one member carries beside its parameters, such as running means; not trained.
    pub buffer_layout: Layout,
    /// [K, P]. Changing its values changes the network.
    pub parameters: Tensor,
    /// [K, P], of the loss of each member with respect to its own parameters.
    pub gradients: Tensor,
    /// [K, Q]. Changing its values changes the network.
    pub buffers: Tensor,
}

impl Flat {
    /// One member per seed, initialised as the layouts say; no gradients yet.
    pub(super) fn new(
        layout: Layout,
        buffer_layout: Layout,
        seeds: &[u64],
        (kind, device): (Kind, Device),
    ) -> Self {
        let parameters = layout.initialise(seeds, kind, device);
        let buffers = buffer_layout.initialise(seeds, kind, device);
        let gradients = parameters.zeros_like();
        Self { layout, buffer_layout, parameters, gradients, buffers }
    }

    /// What new tensors beside these are like.
    pub(super) fn options(&self) -> (Kind, Device) {
        (self.parameters.kind(), self.parameters.device())
    }

    /// Keeps these members (positions along K, increasing). The tensors are new ones: views of the old are of
    /// no use any more.
    pub(super) fn retain(&mut self, members: &[i64]) {
        let index = Tensor::from_slice(members).to_device(self.parameters.device());
        self.parameters = self.parameters.index_select(0, &index);
        self.buffers = self.buffers.index_select(0, &index);
        self.gradients = self.parameters.zeros_like();
    }
}
