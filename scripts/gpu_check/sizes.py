"""The networks and sizes that are measured. The probe and benches/subjects.py know the networks' widths."""

from __future__ import annotations

from dataclasses import dataclass

from .part import Place

# The whole grid of the paper: 8 configurations with 5 seeds each.
GRID = 40
# The most important sizes come first, because the time may end.
MEMBERS = (GRID, 200, 1, 5, 20, 100)


@dataclass(frozen=True)
class Network:
    """A network with the batch of its sweep."""

    name: str
    samples: int
    steps: int


NETWORKS = (Network("bi-eflstm", 30, 30), Network("mfn", 128, 20))
# Sizes for a CPU within the time limit: the same networks on a few words.
CUT = (Network("bi-eflstm", 4, 3), Network("mfn", 4, 3))


def networks(place: Place) -> tuple[Network, ...]:
    """The networks to measure on this device."""
    return NETWORKS if place.on_gpu else CUT


def probed(place: Place, network: Network, samples: int | None = None) -> list[object]:
    """Device and batch for the probe. The CPU is used with the kernels of a GPU."""
    kernels = [] if place.on_gpu else ["--kernels", "fused"]
    return ["--device", device(place), "--samples", samples or network.samples, "--steps", network.steps, *kernels]


def device(place: Place) -> str:
    """The device, for the probe and for PyTorch."""
    return "cuda:0" if place.on_gpu else "cpu"
