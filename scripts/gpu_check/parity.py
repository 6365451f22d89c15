"""The same training steps on the device and on the CPU: losses, gradients and weights."""

from __future__ import annotations

from . import sizes
from .part import Part
from .probe import probe

ROUNDS = 20
# The CPU has to make the same steps; full batches would take all of the time.
SAMPLES = 10
# Largest relative differences that single-precision rounding explains. Between autograd and the hand-written passes
# the difference is 1e-4 in the worst case (a batch norm over nearly equal samples).
LOSS, GRADIENT = 1e-4, 2e-3
# Adam divides a gradient by its size, so rounding decides the sign of a nearly zero gradient, and some weights move
# in the other direction. This is the allowed part of the total movement of the weights:
MOVEMENT = 0.05
# TF32 has 10 bits of mantissa.
TF32 = 0.02
# Settings that make cuBLAS use the tensor cores for single-precision products, or not use them.
ON, OFF = {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}, {"NVIDIA_TF32_OVERRIDE": "0"}


def run(part: Part) -> None:
    """Runs the part."""
    for network in sizes.networks(part.place):
        with part.attempt(f"{network.name}: {ROUNDS} steps"):
            for found in compared(part, network, OFF):
                part.note(network.name, found["against"], value=found)
                judge(part, network.name, found)
    if not part.place.on_gpu:
        return part.leave_out("with TF32", "it is the GPU's")
    for network in sizes.networks(part.place):
        with part.attempt(f"{network.name}: with TF32"):
            found = compared(part, network, ON, "single")[0]
            part.note(network.name, "TF32", value=found)
            ok = found["losses"]["first"] <= TF32
            part.check(f"{network.name}: with TF32", ok, described(found))


def compared(part: Part, network: sizes.Network, mode: dict[str, str], against: str = "single,double") -> list[dict]:
    """The probe's comparison with the CPU in these precisions."""
    batch = sizes.probed(part.place, network, min(SAMPLES, network.samples))
    command = ["parity", network.name, "--members", 3, "--rounds", ROUNDS, *batch]
    command += ["--threads", max(part.place.cores // 2, 1), "--against", against]
    return [numbers(found) for found in probe(part, *command, seconds=40, **mode)]


def numbers(value: object) -> object:
    """Replaces null by NaN: JSON cannot represent NaN, and null must not count as a good number."""
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items()}
    return float("nan") if value is None else value


def judge(part: Part, network: str, found: dict) -> None:
    """Checks the differences."""
    losses, gradients, weights = found["losses"], found["gradients"], found["weights"]
    against = f"{network} against {found['against']}"
    part.check(f"{against}: losses", losses["first"] <= LOSS and losses["largest"] <= GRADIENT, described(found))
    detail = f"first step {gradients['first']['relative']:.1e} ({gradients['first']['parameter'] or 'all equal'})"
    part.check(f"{against}: gradients", gradients["first"]["relative"] <= GRADIENT, detail)
    detail = f"{weights['of_movement']:.1e} of their movement; largest {weights['largest']['relative']:.1e}"
    part.check(f"{against}: weights after {found['rounds']} Adam steps", weights["of_movement"] <= MOVEMENT, detail)


def described(found: dict) -> str:
    """The losses' differences."""
    return f"first {found['losses']['first']:.1e}, largest of {found['rounds']} steps {found['losses']['largest']:.1e}"
