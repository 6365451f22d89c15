//! The state of all members, the same for every network.

use tch::{Device, Kind, Tensor};

use super::layout::Layout;

/// The parameters of all members, their gradients, and the buffers.
#[derive(Debug)]
pub struct Flat {
    /// Layout of the parameters of one member.
    pub layout: Layout,
    /// Layout of the buffers of one member. Buffers are state that is not trained, such as running means.
    pub buffer_layout: Layout,
    /// [K, P]. Changing the values changes the network.
    pub parameters: Tensor,
    /// [K, P]: the gradient of each member's loss with respect to its own parameters.
    pub gradients: Tensor,
    /// [K, Q]. Changing the values changes the network.
    pub buffers: Tensor,
}

impl Flat {
    /// One member per seed, initialised as the layouts say. There are no gradients yet.
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

    /// Kind and device for new tensors of this network.
    pub(super) fn options(&self) -> (Kind, Device) {
        (self.parameters.kind(), self.parameters.device())
    }

    /// Keeps these members (positions along K, in increasing order). All tensors are replaced; earlier views must not
    /// be used.
    pub(super) fn retain(&mut self, members: &[i64]) {
        let index = Tensor::from_slice(members).to_device(self.parameters.device());
        self.parameters = self.parameters.index_select(0, &index);
        self.buffers = self.buffers.index_select(0, &index);
        self.gradients = self.parameters.zeros_like();
    }
}
