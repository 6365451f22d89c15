"""Code that the preparation scripts share: the data set format, splits, padding, scaling and messages.

A module to import, not a script. `data-format/src/lib.rs` defines the format.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import re
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open

SPLITS = ("train", "valid", "test")
# The proportions of the paper's authors for IEMOCAP: a quarter is held out, half of it for validation and half for
# test.
PROPORTIONS = (6, 1, 1)


class PrepareError(Exception):
    """An error that the user has to fix; the message says where and how."""


class Report:
    """Everything that was left out or changed, for the summary at the end."""

    def __init__(self) -> None:
        self.dropped: dict[str, list[str]] = collections.defaultdict(list)
        self.counted: dict[str, int] = collections.defaultdict(int)

    def drop(self, reason: str, name: str) -> None:
        """Note that `name` is left out, because of `reason`."""
        self.dropped[reason].append(name)

    def count(self, what: str, number: int = 1) -> None:
        """Note that `number` more cases of `what` occurred; zero is not mentioned."""
        if number:
            self.counted[what] += number

    def lines(self) -> list[str]:
        """One line per reason, with the first few names."""
        lines = [f"noted {number}: {what}" for what, number in sorted(self.counted.items())]
        if not self.dropped:
            lines.append("nothing was dropped")
        for reason, names in sorted(self.dropped.items()):
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"dropped {len(names)}: {reason}: {', '.join(names[:5])}{more}")
        return lines


class Progress:
    """The progress of a long loop: one line that is redrawn on a terminal, otherwise a line every few seconds."""

    def __init__(self, what: str, total: int | None = None, every: int = 1) -> None:
        self.what = what
        self.total = total
        self.every = every  # Read the clock only once in this many steps, because a step takes microseconds.
        self.done = 0
        self.terminal = sys.stdout.isatty()
        self.interval = 0.1 if self.terminal else 5.0
        self.last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            print(("\r" if self.terminal else "") + self.text() + ", done", flush=True)
        elif self.terminal:
            print(flush=True)

    def step(self) -> None:
        """Count one more item."""
        self.done += 1
        if self.done % self.every:
            return
        now = time.monotonic()
        if now - self.last >= self.interval:
            self.last = now
            print(("\r" if self.terminal else "") + self.text(), end="" if self.terminal else "\n", flush=True)

    def text(self) -> str:
        """The current text of the line."""
        return f"{self.what}: {self.done}" + (f" of {self.total}" if self.total is not None else "")


def seeded_split(names: Iterable[str], seed: int, proportions: Sequence[int] = PROPORTIONS) -> dict[str, list[str]]:
    """Divide names at random among the splits, in the proportions train, valid, test.

    The order is that of a hash of seed and name: it is the same with every version of Python and numpy, and does
    not depend on the order in which a file system lists files. Within a split the names are sorted.
    """
    names = sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))
    total = sum(proportions)
    # The remainder goes to the held-out parts, as in scikit-learn's train_test_split: 6877 become 5157, 860 and 860.
    aside = -(-len(names) * (proportions[1] + proportions[2]) // total)
    test = aside * proportions[2] // (proportions[1] + proportions[2])
    train, valid = len(names) - aside, aside - test
    parts = (names[:train], names[train : train + valid], names[train + valid :])
    return {split: sorted(part) for split, part in zip(SPLITS, parts, strict=True)}


def published_split(path: Path) -> dict[str, list[str]]:
    """Read {"train": [...], "valid": [...], "test": [...]} from a JSON file; no name may occur twice."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PrepareError(f"{path} is not JSON ({error})") from error
    if not isinstance(content, dict) or set(content) != set(SPLITS):
        raise PrepareError(f'{path} should hold {{"train": [names], "valid": [names], "test": [names]}}')
    seen: dict[str, str] = {}
    for split in SPLITS:
        if not isinstance(content[split], list) or not all(isinstance(name, str) for name in content[split]):
            raise PrepareError(f"{path}: {split} should be a list of names")
        for name in content[split]:
            if name in seen:
                raise PrepareError(f"{path} names {name} in {seen[name]} and again in {split}")
            seen[name] = split
    return {split: list(content[split]) for split in SPLITS}


def pad_front(steps: np.ndarray, count: int) -> np.ndarray:
    """[any, features] as [count, features] f32: zeros in front of short arrays, the last `count` steps of long ones."""
    padded = np.zeros((count, steps.shape[1]), dtype=np.float32)
    kept = steps[-count:]
    padded[count - len(kept) :] = kept
    return padded


def make_finite(array: np.ndarray, what: str, report: Report) -> np.ndarray:
    """Replace NaN and infinities by 0 (COVAREP writes -inf for silence), and report their number."""
    bad = ~np.isfinite(array)
    number = int(bad.sum())
    if not number:
        return array
    report.count(f"{what} values that were NaN or infinite and became 0", number)
    return np.where(bad, 0.0, array)


def standardise(tensors: dict[str, np.ndarray], modality: str, real: Mapping[str, np.ndarray] | None = None) -> None:
    """Standardise each feature of a modality with the training split's mean and deviation; replaces the tensors.

    `real` says for each split which steps [N, T] are not padding. Padding is neither counted nor changed.
    """
    train = tensors[f"train/{modality}"]
    if real is None:
        mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    else:
        used = train[real["train"]].astype(np.float64)
        mean, deviation = used.mean(axis=0), used.std(axis=0)
    # A feature that is constant in training carries no information: it becomes 0. Because of rounding its deviation
    # may be slightly above 0, and dividing by that would turn rounding into noise.
    varies = deviation > 1e-9 * np.abs(mean)
    scale = np.where(varies, 1.0, 0.0) / np.where(varies, deviation, 1.0)
    for split in SPLITS:
        scaled = ((tensors[f"{split}/{modality}"] - mean) * scale).astype(np.float32)
        if real is not None:
            scaled[~real[split]] = 0.0
        tensors[f"{split}/{modality}"] = scaled


def metadata(
    modalities: Sequence[str], classes: Sequence[str] | None, source: str, licence: str, preparation: str
) -> dict[str, str]:
    """The header entries of the format. Without classes the task is a regression."""
    return {
        "format": "colearn-dataset/1",
        "modalities": json.dumps(modalities),
        "task": "regression" if classes is None else "classification",
        **({} if classes is None else {"classes": json.dumps(classes)}),
        "source": source,
        "licence": licence,
        "preparation": preparation,
    }


def check(tensors: Mapping[str, np.ndarray], entries: Mapping[str, str]) -> None:
    """Make the checks of colearn's reader, while a message can still use the words of the data set."""
    modalities = json.loads(entries["modalities"])
    for name in modalities:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or name == "labels":
            raise PrepareError(f"modality name {name!r} may hold letters, digits, - and _, and not be `labels`")
    if not modalities or len(set(modalities)) != len(modalities):
        raise PrepareError(f"modalities {modalities} should be one or more distinct names")
    expected = {f"{split}/{part}" for split in SPLITS for part in (*modalities, "labels")}
    if expected != set(tensors):
        raise PrepareError(f"tensors {sorted(tensors)} are not those of modalities {modalities}")
    classes = json.loads(entries["classes"]) if entries["task"] == "classification" else None
    if classes is not None and (len(classes) < 2 or len(set(classes)) != len(classes) or "" in classes):
        raise PrepareError(f"classes {classes} should be at least two distinct names")
    for split in SPLITS:
        labels = tensors[f"{split}/labels"]
        if labels.ndim != 1 or labels.dtype != (np.float32 if classes is None else np.int64):
            raise PrepareError(f"{split}/labels is {labels.dtype} of shape {labels.shape}")
        if not len(labels):
            raise PrepareError(f"the {split} split is empty; is the release complete?")
        if classes is None and not np.isfinite(labels).all():
            raise PrepareError(f"{split}/labels holds NaN or infinite values")
        if classes is not None and not ((labels >= 0) & (labels < len(classes))).all():
            raise PrepareError(f"{split}/labels holds a label outside the {len(classes)} classes")
        steps = tensors[f"train/{modalities[0]}"].shape[1:2]
        for name in modalities:
            tensor = tensors[f"{split}/{name}"]
            shape = (len(labels), *steps, *tensors[f"train/{name}"].shape[2:])
            if tensor.ndim != 3 or tensor.shape != shape or 0 in shape or tensor.dtype != np.float32:
                raise PrepareError(f"{split}/{name} is {tensor.dtype} of shape {tensor.shape}, expected F32 {shape}")
            if not np.isfinite(tensor).all():
                raise PrepareError(f"{split}/{name} holds NaN or infinite values")


def write(path: Path, tensors: Mapping[str, np.ndarray], entries: Mapping[str, str]) -> None:
    """Check a data set and write it as one safetensors file, completely or not at all.

    The library's writer is not used, because its metadata comes in the order of a hash map. The same release
    must give the same bytes, and so the same digest, everywhere.
    """
    check(tensors, entries)
    # Larger element types first, in the order of the library, so that every tensor is aligned.
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
    header: dict[str, object] = {"__metadata__": dict(entries)}
    end = 0
    for name, tensor in tensors.items():
        kind = {"float32": "F32", "int64": "I64"}[tensor.dtype.name]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
                file.write(np.ascontiguousarray(little).data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private, but workers of other accounts read data sets too.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        # A file that the library cannot read back must not replace a good file.
        with safe_open(temporary, "numpy") as file:
            if set(file.keys()) != set(tensors):
                raise PrepareError(f"{path} could not be read back; is the disk sound?")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def shapes(tensors: Mapping[str, np.ndarray], modalities: Sequence[str], split: str) -> str:
    """The shapes of one split, for the summary."""
    return ", ".join(f"{name} {list(tensors[f'{split}/{name}'].shape)}" for name in modalities)


def parser(doc: str | None, out: str) -> argparse.ArgumentParser:
    """A parser that shows the script's documentation as help, with the option --out."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_out(made, out)
    return made


def add_out(to: argparse.ArgumentParser, out: str) -> None:
    """Add the option that every script has."""
    to.add_argument(
        "--out", type=Path, default=Path(out), metavar="PATH",
        help=f"the file to write; replaced if it exists (default: {out})",
    )  # fmt: skip


def at_least(minimum: int) -> Callable[[str], int]:
    """An argument type: a whole number with a lower limit."""

    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"at least {minimum}")
        return value

    return number


def finish(prepare: Callable[[], list[str]], out: Path) -> int:
    """Run a preparation, which writes `out` and returns its summary; returns the exit status (1: fix the data)."""
    try:
        lines = prepare()
    except (PrepareError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
