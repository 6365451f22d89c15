"""Writes `fixtures/masks.json`: the features that modality dropout keeps, and the noise that replaces the others,
computed element by element by a second implementation of the random numbers and of the rules. It needs only Python.

    python trainer/tests/parity/make_masks.py
"""

import itertools
import json
import statistics
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent / "fixtures"
STEPS, SAMPLES, FEATURES = 3, 4, 5
MODALITY, MODALITY_PART, MODALITY_NOISE = 3, 7, 8  # the codes of the purposes
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


def bits(seed, purpose, number, epoch, step, index):
    """The 32 random bits for these coordinates."""
    key = mix64(mix64(mix64(seed) ^ (purpose << 32 | number)) ^ (epoch << 32 | step))
    return mix32((mix32((index ^ key) & M32) + (key >> 32)) & M32)


def uniform(seed, purpose, number, epoch, step, index):
    """The random number in [0, 1) for these coordinates."""
    high, low = (bits(seed, purpose, number, epoch, step, 2 * index + half) for half in (0, 1))
    return (high << 32 | low) // 2**11 / 2**53


def single(x):
    """The nearest number in single precision."""
    return struct.unpack("f", struct.pack("f", x))[0]


def factor(case):
    """The factor of the levels in the epoch of the case."""
    epochs, start, end = case.get("anneal", (0, 0, 1))
    done = min(case["epoch"] - 1, epochs)
    return 1 if epochs == 0 else end if done == epochs else start + (end - start) * done / epochs


def is_dropped(case, draw):
    """Whether this draw drops the modality."""
    levels = [level * factor(case) for level in case.get("levels", [0, case["probability"], case["probability"]])]
    if case["draw"] != "exclusive":
        return draw < levels[case["modality"]]
    # The modality whose interval the draw lies in, if any.
    ends = itertools.accumulate(levels)
    return next((number for number, end in enumerate(ends) if draw < end), None) == case["modality"]


def is_there(case, t, b, d):
    """Whether feature d at time t of sample b is kept."""
    at = (case["epoch"], case["step"])
    unit, units = {
        "batch": (0, 1),
        "sample": (b, SAMPLES),
        "step": (t * SAMPLES + b, STEPS * SAMPLES),
        "batch_step": (t, STEPS),
    }[case["granularity"]]
    first = case["modality"] * units if case["draw"] == "independent" else 0
    if not is_dropped(case, uniform(case["seed"], MODALITY, 0, *at, first + unit)):
        return True
    if case["part"] == "all":
        return False
    element = {"features": unit * FEATURES + d, "steps": unit * STEPS + t}[case["part"]]
    return uniform(case["seed"], MODALITY_PART, case["modality"], *at, element) >= case["fraction"]


def with_mask(case):
    places = itertools.product(range(STEPS), range(SAMPLES), range(FEATURES))
    return {**case, "mask": "".join("01"[is_there(case, *place)] for place in places)}


def with_noise(case):
    """Normal numbers by the inverse of the distribution, of 16 bits each."""
    normal = statistics.NormalDist()
    at = (case["seed"], MODALITY_NOISE, case["modality"], case["epoch"], case["step"])
    values = []
    for index in range(STEPS * SAMPLES * FEATURES):
        z = single(normal.inv_cdf(((bits(*at, index) >> 16) + 0.5) / 2**16))
        mean, deviation = (case[key][index % FEATURES] for key in ("mean", "deviation"))
        values.append(single(single(z * deviation) + mean))
    return {**case, "values": values}


def main():
    parts = ("all", "features", "steps")
    settings = [
        *itertools.product(("shared", "independent"), ("batch", "sample", "step"), parts, (1, 2)),
        *itertools.product(("shared", "independent"), ("batch_step",), parts, (1, 2)),
        *itertools.product(("exclusive",), ("batch", "sample", "step", "batch_step"), parts, (1, 2)),
    ]
    cases = []
    for number, (draw, granularity, part, modality) in enumerate(settings):
        # Several steps, so that a whole batch is dropped in some and not in others.
        for step in range(3):
            case = {
                "draw": draw, "granularity": granularity, "part": part, "modality": modality, "seed": number // 4,
                "epoch": 1 + number % 3, "step": step, "probability": 0.6, "fraction": 0.4,
            }
            if draw == "exclusive":
                case["levels"] = [0.1, 0.3, 0.5]
            cases.append(with_mask(case))
    annealed = itertools.product(("shared", "exclusive"), ((4, 0.25, 1.0), (3, 1.0, 0.0)), (1, 2, 3, 4, 5, 6))
    for draw, anneal, epoch in annealed:
        case = {
            "draw": draw, "granularity": "step", "part": "all", "modality": 2, "seed": 5, "epoch": epoch, "step": 1,
            "probability": 0.6, "fraction": 0.4, "levels": [0.1, 0.3, 0.6], "anneal": anneal,
        }
        case["kept"] = single(1 / (1 - 0.6 * factor(case)))
        cases.append(with_mask(case))
    means = {"mean": [0.0, 1.5, -0.25, 8.0, 0.0], "deviation": [1.0, 0.5, 2.0, 0.0, 0.125]}
    noise = [
        with_noise({"seed": seed, "epoch": epoch, "step": step, "modality": modality, **means})
        for seed, epoch, step, modality in ((0, 1, 0, 0), (7, 2, 300, 1), (2**64 - 1, 9, 1, 2))
    ]
    size = {"steps": STEPS, "samples": SAMPLES, "features": FEATURES}
    text = json.dumps({**size, "cases": cases, "noise": noise}, indent=0)
    (HERE / "masks.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
