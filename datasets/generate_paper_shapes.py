#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
# ]
# ///
"""Generate a data set with the shapes of the paper's two data sets, to measure time and memory.

All numbers are generated. Each modality has a weak signal, so that training finds something, but scores on this data
say nothing about IEMOCAP, MOSI or co-learning.

  iemocap  5157 / 860 / 860 sentences of 30 steps, language 300, audio 80, video 310; 9 classes (570 MB)
  mosi     1284 / 229 / 686 sentences of 20 steps, language 300, audio 5, video 20; values in [-3, 3] (57 MB)
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

import colearn_data
from colearn_data import SPLITS, Progress

# In units of a feature's noise. Over the hundreds of features of a step this is enough to learn from, but not
# obvious.
SIGNAL = 0.05


class Kind(NamedTuple):
    """The shapes of one of the paper's data sets."""

    sizes: tuple[int, int, int]
    steps: int
    widths: dict[str, int]
    classes: tuple[str, ...] | None


KINDS = {
    "iemocap": Kind(
        (5157, 860, 860), 30, {"language": 300, "audio": 80, "video": 310},
        ("neu", "fru", "ang", "sad", "exc", "hap", "sur", "fea", "dis"),
    ),
    "mosi": Kind((1284, 229, 686), 20, {"language": 300, "audio": 5, "video": 20}, None),
}  # fmt: skip


def generate(kind: Kind, seed: int, divisor: int) -> dict[str, np.ndarray]:
    """The tensors; a `divisor` above 1 makes each split smaller by this factor."""
    random = np.random.default_rng(seed)
    directions = {
        name: random.normal(size=(len(kind.classes) if kind.classes else 1, width)).astype(np.float32) * SIGNAL
        for name, width in kind.widths.items()
    }
    tensors: dict[str, np.ndarray] = {}
    with Progress("generating tensors", len(SPLITS) * len(kind.widths)) as progress:
        for split, size in zip(SPLITS, kind.sizes, strict=True):
            count = -(-size // divisor)
            lengths = random.integers(2, kind.steps, size=count)  # Sentences are shorter than the steps.
            padding = np.arange(kind.steps) < kind.steps - lengths[:, None]
            if kind.classes:
                labels = random.integers(len(kind.classes), size=count)
            else:
                labels = np.clip(random.normal(scale=1.5, size=count), -3.0, 3.0).astype(np.float32)
            for name, width in kind.widths.items():
                values = random.standard_normal(size=(count, kind.steps, width), dtype=np.float32)
                signal = directions[name][labels] if kind.classes else labels[:, None] * directions[name]
                values += signal[:, None, :]
                values[padding] = 0.0
                tensors[f"{split}/{name}"] = values
                progress.step()
            tensors[f"{split}/labels"] = labels
    return tensors


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = colearn_data.parser(__doc__, "data/shapes.safetensors")
    parser.add_argument("--kind", choices=tuple(KINDS), required=True, help="data set with these shapes")
    parser.add_argument("--seed", type=colearn_data.at_least(0), default=0, help="(default: 0)")
    parser.add_argument(
        "--divisor", type=colearn_data.at_least(1), default=1, metavar="N", help="N times fewer sentences (default: 1)"
    )
    options = parser.parse_args(arguments)
    kind = KINDS[options.kind]

    def run() -> list[str]:
        tensors = generate(kind, options.seed, options.divisor)
        entries = colearn_data.metadata(
            tuple(kind.widths), kind.classes,
            source=f"GENERATED: random numbers of the shapes of {options.kind}; no recording of anybody",
            licence="none needed",
            preparation=f"datasets/generate_paper_shapes.py --kind {options.kind} --seed {options.seed} "
            f"--divisor {options.divisor}: to measure time and memory with, evidence of nothing else",
        )  # fmt: skip
        colearn_data.write(options.out, tensors, entries)
        return [f"{split}: {colearn_data.shapes(tensors, tuple(kind.widths), split)}" for split in SPLITS]

    return colearn_data.finish(run, options.out)


if __name__ == "__main__":
    sys.exit(main())
