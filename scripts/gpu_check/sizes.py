"""The networks and sizes that are measured. The probe and benches/pytorch_step.py know the networks' widths."""

from __future__ import annotations

from dataclasses import dataclass

from .part import Place

# The whole grid of the paper: 8 configurations with 5 seeds each.
GRID = 40
# What matters most comes first, for the time may end.
MEMBERS = (GRID, 200, 1, 5, 20, 100)


@dataclass(frozen=True)
class Network:
    """A network with the batch of its sweep."""

    name: str
    samples: int
    steps: int


NETWORKS = (Network("bi-eflstm", 30, 30), Network("mfn", 128, 20))
# What a CPU does in the time that there is: the same networks on a few words.
CUT = (Network("bi-eflstm", 4, 3), Network("mfn", 4, 3))


def networks(place: Place) -> tuple[Network, ...]:
    """What is measured there."""
    return NETWORKS if place.on_gpu else CUT


def probed(place: Place, network: Network, samples: int | None = None) -> list[object]:
    """For the probe: device and batch. The CPU stands in with the kernels that are a GPU's."""
    kernels = [] if place.on_gpu else ["--kernels", "fused"]
    return ["--device", device(place), "--samples", samples or network.samples, "--steps", network.steps, *kernels]


def device(place: Place) -> str:
    """For the probe and for PyTorch."""
    return "cuda:0" if place.on_gpu else "cpu"
