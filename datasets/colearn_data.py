"""Code that the preparation scripts share: splits, padding and messages.

A module to import, not a script. The functions that write, divide and standardise are those of `python/colearn.py`.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from colearn import SPLITS, check, divide, fit_steps, metadata, standardise, write  # noqa: E402
from colearn import DatasetError as PrepareError  # noqa: E402

__all__ = [
    "PROPORTIONS", "SPLITS", "PrepareError", "Progress", "Report", "add_out", "at_least", "check", "finish",
    "finite_mean", "fit_steps", "fold_paths", "make_finite", "metadata", "pad_front", "parser", "published_split",
    "sample_names", "seeded_split", "shapes", "standardise", "write",
]  # fmt: skip

# The proportions of the paper's authors for IEMOCAP: a quarter is held out, half of it for validation and half for
# test.
PROPORTIONS = (6, 1, 1)


class Report:
    """Everything that was left out or changed, for the summary at the end."""

    def __init__(self) -> None:
        self.dropped: dict[str, list[str]] = collections.defaultdict(list)
        self.counted: dict[str, int] = collections.defaultdict(int)
        self.noted: list[str] = []

    def drop(self, reason: str, name: str) -> None:
        """Note that `name` is left out, because of `reason`."""
        self.dropped[reason].append(name)

    def count(self, what: str, number: int = 1) -> None:
        """Note that `number` more cases of `what` occurred; zero is not mentioned."""
        if number:
            self.counted[what] += number

    def note(self, *lines: str) -> None:
        """Add lines that are printed as they are."""
        self.noted.extend(lines)

    def lines(self) -> list[str]:
        """One line per reason, with the first few names."""
        lines = self.noted + [f"noted {number}: {what}" for what, number in sorted(self.counted.items())]
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

    The result is the same with every version of Python and numpy, and does not depend on the order in which a file
    system lists files (see `colearn.divide`). Within a split the names are sorted.
    """
    names = sorted(names)
    splits = divide(names, [proportion / sum(proportions) for proportion in proportions], seed)
    return {split: [name for name, of in zip(names, splits, strict=True) if of == split] for split in SPLITS}


def sample_names(
    ids: Mapping[str, Sequence[object]], groups: Mapping[str, Sequence[object]] | None = None
) -> dict[str, str]:
    """The header entries `ids` and, if samples have any, `groups`: by split, in the order of its samples."""
    entries = {"ids": ids} if groups is None else {"ids": ids, "groups": groups}
    texts = {key: {split: [str(name) for name in names[split]] for split in SPLITS} for key, names in entries.items()}
    return {key: json.dumps(value, separators=(",", ":"), ensure_ascii=False) for key, value in texts.items()}


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
    return fit_steps(steps, count, pad="front", cut="front")


def make_finite(array: np.ndarray, what: str, report: Report) -> np.ndarray:
    """Replace NaN and infinities by 0 (COVAREP writes -inf for silence), and report their number."""
    bad = ~np.isfinite(array)
    number = int(bad.sum())
    if not number:
        return array
    report.count(f"{what} values that were NaN or infinite and became 0", number)
    return np.where(bad, 0.0, array)


def finite_mean(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of [rows, features] over the finite values of each feature, and which features have none, with mean 0.

    A value that is NaN or infinite is a measurement that failed. As a 0 it would pull the mean towards zero.
    """
    finite = np.isfinite(rows)
    number = finite.sum(axis=0)
    mean = np.where(finite, rows, 0.0).sum(axis=0, dtype=np.float64) / np.maximum(number, 1)
    return mean, number == 0


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


def fold_paths(out: Path, folds: int) -> list[Path]:
    """The files of a cross-validation, one for each fold, named as by `colearn data import --folds`."""
    return [out.with_name(f"{out.stem}-fold{fold}{out.suffix}") for fold in range(folds)]


def finish(prepare: Callable[[], list[str]], *outs: Path) -> int:
    """Run a preparation, which writes `outs` and returns its summary; returns the exit status (1: fix the data)."""
    try:
        lines = prepare()
    except (PrepareError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    for out in outs:
        print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0
