"""Writes `fixtures/masks.json`: the features that modality dropout keeps, computed element by element by a second
implementation of the random numbers and of the rule. It needs only Python.

    python trainer/tests/parity/make_masks.py
"""

import itertools
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent / "fixtures"
STEPS, SAMPLES, FEATURES = 3, 4, 5
MODALITY, MODALITY_PART = 3, 7  # the codes of the purposes
M32, M64 = 2**32 - 1, 2**64 - 1


def mix64(x):
    """splitmix64."""
    x = (x + 0x9E3779B97F4A7C15) & M64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


def mix32(x):
    """lowbias32."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & M32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & M32
    return x ^ (x >> 16)


def uniform(seed, purpose, number, epoch, step, index):
    """The random number in [0, 1) for these coordinates."""
    key = mix64(mix64(mix64(seed) ^ (purpose << 32 | number)) ^ (epoch << 32 | step))

    def bits(index):
        return mix32((mix32((index ^ key) & M32) + (key >> 32)) & M32)

    return (bits(2 * index) << 32 | bits(2 * index + 1)) // 2**11 / 2**53


def is_there(case, t, b, d):
    """Whether feature d at time t of sample b is kept."""
    at = (case["epoch"], case["step"])
    unit, units = {
        "batch": (0, 1),
        "sample": (b, SAMPLES),
        "step": (t * SAMPLES + b, STEPS * SAMPLES),
    }[case["granularity"]]
    first = 0 if case["draw"] == "shared" else case["modality"] * units
    if uniform(case["seed"], MODALITY, 0, *at, first + unit) >= case["probability"]:
        return True
    if case["part"] == "all":
        return False
    element = {"features": unit * FEATURES + d, "steps": unit * STEPS + t}[case["part"]]
    return uniform(case["seed"], MODALITY_PART, case["modality"], *at, element) >= case["fraction"]


def main():
    settings = itertools.product(
        ("shared", "independent"), ("batch", "sample", "step"), ("all", "features", "steps"), (1, 2)
    )
    cases = []
    for number, (draw, granularity, part, modality) in enumerate(settings):
        # Several steps, so that a whole batch is dropped in some and not in others.
        for step in range(3):
            case = {
                "draw": draw, "granularity": granularity, "part": part, "modality": modality, "seed": number // 4,
                "epoch": 1 + number % 3, "step": step, "probability": 0.6, "fraction": 0.4,
            }
            places = itertools.product(range(STEPS), range(SAMPLES), range(FEATURES))
            case["mask"] = "".join("01"[is_there(case, *place)] for place in places)
            cases.append(case)
    size = {"steps": STEPS, "samples": SAMPLES, "features": FEATURES}
    (HERE / "masks.json").write_text(json.dumps({**size, "cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    main()
