"""Data sets of colearn from arrays in memory, and its results as a data frame.

Needs numpy and safetensors, and colearn_results.py, which reads results without them: copy both files, or put this
folder on PYTHONPATH.

    import colearn

    splits = colearn.divide(speakers, (0.7, 0.1, 0.2), seed=3)    # keeps the samples of a speaker together
    colearn.write_dataset("data/mine.safetensors", {"text": text, "audio": audio}, labels, splits)

    frame = colearn.read_results("results.json")                  # from `colearn results mine --format json`
    frame = colearn.read_long("results-long.csv")                 # one row per configuration, seed and metric

`colearn data import` does the same from files, and the same data gives the same bytes. `data-format/src/lib.rs` defines
the format.
"""

from __future__ import annotations

import collections
import hashlib
import json
import math
import os
import re
import struct
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from colearn_results import DatasetError, as_json, long_rows, read_long, read_results, results_rows
from safetensors import safe_open

__all__ = [
    "SPLITS", "DatasetError", "divide", "fit_steps", "long_rows", "read_long", "read_results", "results_rows",
    "write_dataset",
]  # fmt: skip

SPLITS = ("train", "valid", "test")
# The largest header that colearn reads.
MAX_HEADER_BYTES = 16 << 20
# Others write `val` or `dev` where the format has `valid`.
SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "test": "test",
}  # fmt: skip


def write_dataset(
    path: str | os.PathLike[str],
    modalities: Mapping[str, Any],
    labels: Any,
    splits: Any,
    *,
    ids: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    classes: Sequence[str] | None = None,
    regression: bool = False,
    standardize: bool = False,
    source: str = "",
    licence: str = "",
    preparation: str = "",
) -> None:
    """Write a data set, completely or not at all; an existing file is replaced.

    `modalities` maps names to arrays of [samples, steps, features], in the order in which features are concatenated.
    An array of [samples, features] is one step. Use `fit_steps` first for samples of different lengths.
    `labels` has one entry per sample: whole numbers from 0, class names, or with `regression` numbers to predict.
    `classes` lists the class names in order. By default, names are sorted, and numbers are used as names.
    `splits` has one entry per sample: "train", "valid" or "test", for example from `divide`. It can also map these
    names to indices of samples, or to their `ids`.
    `ids` names the samples, and `groups` says which belong together, such as by their speaker. Both are kept in the file,
    as texts: predictions that tasks keep are listed with them.
    `standardize` scales each feature by its mean and deviation over the training samples. Steps of zeros at the ends
    of a sample are taken for padding and stay zero.
    `source`, `licence` and `preparation` are texts for the users of the data set.

    Raises `DatasetError` with all mistakes, one per line.
    """
    mistakes: list[str] = []
    arrays = {name: _features(name, array, mistakes) for name, array in modalities.items()}
    names, values = _labels(labels, classes, regression, mistakes)
    counts = {name: len(array) for name, array in arrays.items() if array is not None}
    counts["labels"] = len(values)
    counts.update({name: len(given) for name, given in (("ids", ids), ("groups", groups)) if given is not None})
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{name} has {count}" for name, count in counts.items())
        mistakes.append(f"the numbers of samples differ: {each}; each needs one entry per sample, in the same order")
    steps = {name: array.shape[1] for name, array in arrays.items() if array is not None}
    if len(set(steps.values())) > 1:
        each = ", ".join(f"{name} has {count}" for name, count in steps.items())
        mistakes.append(
            f"the numbers of time steps differ: {each}; make them equal with fit_steps, or repeat an array of one step: "
            f"np.repeat(array, {max(steps.values())}, axis=1)"
        )
    members = _members(splits, len(values), ids, mistakes)
    if mistakes:
        raise DatasetError("\n".join(mistakes))

    tensors = {f"{split}/labels": values[members[split]] for split in SPLITS}
    for name, array in arrays.items():
        tensors.update({f"{split}/{name}": array[members[split]] for split in SPLITS})
        if standardize:
            present = {split: present_steps(tensors[f"{split}/{name}"]) for split in SPLITS}
            standardise(tensors, name, present)
    entries = metadata(list(arrays), names, source, licence, preparation)
    for name, given in (("ids", ids), ("groups", groups)):
        if given is not None:
            entries[name] = names_by_split([str(given[at]) for at in range(len(given))], members)
    if names is not None:
        known = set(tensors["train/labels"].tolist())
        unseen = [name for index, name in enumerate(names) if index not in known]
        if unseen:
            raise DatasetError(f"no training sample has the class {', '.join(map(repr, unseen))}; choose another split")
    write(Path(path), tensors, entries)


def _features(name: str, array: Any, mistakes: list[str]) -> np.ndarray | None:
    """A modality as [samples, steps, features] f32, or None and another mistake."""
    try:
        given = np.asarray(array)
    except ValueError:
        # Samples of different lengths do not form an array.
        given = np.empty(0, dtype=object)
    if given.dtype.kind not in "fiub":
        remedy = "np.stack([colearn.fit_steps(sample, steps) for sample in samples])"
        mistakes.append(f"{name} is not an array of numbers ({given.dtype}); for samples of different lengths use {remedy}")
        return None
    if given.ndim == 2:
        given = given[:, None, :]
    if given.ndim != 3 or 0 in given.shape:
        mistakes.append(f"{name} has shape {given.shape}, expected [samples, steps, features]")
        return None
    finite = np.isfinite(given)
    if not finite.all():
        where = [int(at) for at in np.argwhere(~finite)[0]]
        mistakes.append(
            f"{name}: {int((~finite).sum())} value(s) are NaN or infinite, the first at sample {where[0]}, step {where[1]}, "
            f"feature {where[2]}; replace them, such as with np.nan_to_num"
        )
        return None
    with np.errstate(over="ignore"):
        narrow = given.astype(np.float32)
    too_large = ~np.isfinite(narrow)
    if too_large.any():
        where = [int(at) for at in np.argwhere(too_large)[0]]
        mistakes.append(
            f"{name}: {int(too_large.sum())} value(s) are beyond what a float32 holds, the first at sample {where[0]}, "
            f"step {where[1]}, feature {where[2]}; scale them"
        )
        return None
    return narrow


def _labels(
    labels: Any, classes: Sequence[str] | None, regression: bool, mistakes: list[str]
) -> tuple[list[str] | None, np.ndarray]:
    """The class names (None for regression) and the labels in the type of the format."""
    given = np.asarray(labels)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1:
        mistakes.append(f"labels have shape {given.shape}, expected one per sample; for one-hot rows use .argmax(axis=1)")
        return None, np.zeros(len(given) if given.ndim else 0, dtype=np.float32)
    if given.dtype.kind == "O":
        given = given.astype(str)
    if given.dtype.kind not in "fiub":
        return _named_labels([str(label) for label in given], classes, regression, mistakes)
    bad = np.flatnonzero(~np.isfinite(given))
    if len(bad):
        mistakes.append(f"{len(bad)} label(s) are NaN or infinite, the first at sample {bad[0]}")
        return None, np.zeros(len(given), dtype=np.float32)
    if regression:
        if classes is not None:
            mistakes.append("a regression has no classes: omit `classes` or `regression`")
        return None, given.astype(np.float32)
    broken = np.flatnonzero(given != np.floor(given))
    if len(broken):
        mistakes.append(
            f"{len(broken)} label(s) are not whole numbers, the first is {given[broken[0]]} at sample {broken[0]}; "
            "regression=True if they are values to predict"
        )
        return None, np.zeros(len(given), dtype=np.float32)
    indices = given.astype(np.int64)
    low, high = (int(indices.min()), int(indices.max())) if len(indices) else (0, 0)
    count = len(classes) if classes is not None else high + 1
    if low == 1 and high >= count - (classes is None):
        mistakes.append(f"labels are counted from 1 (1 to {high}); no sample has 0: pass `labels - 1`")
    elif low < 0 or high >= count or count > max(len(indices), 2) and classes is None:
        mistakes.append(f"labels go from {low} to {high}, expected 0 to {min(count, len(indices)) - 1}")
    else:
        return [str(index) for index in range(count)] if classes is None else list(classes), indices
    return None, np.zeros(len(given), dtype=np.float32)


def _named_labels(
    labels: list[str], classes: Sequence[str] | None, regression: bool, mistakes: list[str]
) -> tuple[list[str] | None, np.ndarray]:
    if regression:
        mistakes.append(f"labels are texts such as {labels[0]!r}; omit `regression` if they are classes")
    names = sorted(set(labels)) if classes is None else list(classes)
    unknown = sorted(set(labels) - set(names))
    if unknown:
        mistakes.append(f"labels {', '.join(map(repr, unknown))} are not among the classes {', '.join(map(repr, names))}")
        return None, np.zeros(len(labels), dtype=np.float32)
    index = {name: at for at, name in enumerate(names)}
    return names, np.array([index[label] for label in labels], dtype=np.int64)


def _members(splits: Any, count: int, ids: Sequence[Any] | None, mistakes: list[str]) -> dict[str, np.ndarray]:
    """The indices of each split's samples, in order."""
    if isinstance(splits, Mapping):
        names = [""] * count
        position = {} if ids is None else {str(name): at for at, name in enumerate(ids)}
        for split, chosen in splits.items():
            for sample in chosen:
                at = position.get(str(sample)) if ids is not None else int(sample)
                if at is None or not 0 <= at < count:
                    mistakes.append(f"split {split!r} names {sample!r}, which is no sample")
                elif names[at] not in ("", split):
                    mistakes.append(f"sample {sample!r} is in the splits {names[at]!r} and {split!r}")
                else:
                    names[at] = str(split)
    else:
        names = [str(name) for name in splits]
        if len(names) != count:
            mistakes.append(f"splits has {len(names)} entries, there are {count} samples")
    known = [SPLIT_NAMES.get(name.lower()) for name in names]
    unknown = sorted({name for name, split in zip(names, known, strict=True) if split is None})
    if unknown:
        mistakes.append(f"splits are train, valid and test; there are samples in {', '.join(map(repr, unknown))}")
    members = {split: np.flatnonzero([name == split for name in known]) for split in SPLITS}
    mistakes.extend(f"the {split} split is empty" for split in SPLITS if not len(members[split]))
    return members


def divide(names: Iterable[Any], fractions: Sequence[float], seed: int = 0) -> list[str]:
    """Divide samples at random in the fractions train, valid, test; returns the split of each sample.

    `names` has one entry per sample: its id, or its group (speaker, subject) if all samples of a group must be in the
    same split. The names are ordered by a hash of seed and name. The result is therefore the same with every version of
    Python and numpy, and the same as that of `colearn data import --split-seed`.
    """
    names = [str(name) for name in names]
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DatasetError(f"fractions {tuple(fractions)} should be three positive numbers that sum up to 1")
    units: dict[str, list[int]] = collections.defaultdict(list)
    for at, name in enumerate(names):
        units[name].append(at)
    order = sorted(units, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))
    splits = [SPLITS[0]] * len(names)
    if len(units) == len(names):
        # The remainder goes to the held-out parts, as in scikit-learn's train_test_split: 6877 become 5157, 860 and
        # 860. The small margins correct the rounding of fractions such as 0.1.
        aside = math.ceil(len(names) * (fractions[1] + fractions[2]) - 1e-9)
        test = math.floor(aside * fractions[2] / (fractions[1] + fractions[2]) + 1e-9)
        train = len(names) - aside
        for at, name in enumerate(order):
            splits[units[name][0]] = SPLITS[0 if at < train else 1 if at < len(names) - test else 2]
        return splits
    # Each group goes to the split that is filled least, relative to its fraction.
    filled = [0, 0, 0]
    for name in order:
        at = min(range(3), key=lambda at: (filled[at] / fractions[at], at))
        filled[at] += len(units[name])
        for sample in units[name]:
            splits[sample] = SPLITS[at]
    return splits


def fit_steps(sample: Any, count: int, pad: str = "front", cut: str = "front") -> np.ndarray:
    """[any, features] as [count, features] f32: short samples are padded with zeros, long samples are cut.

    `pad` and `cut` say at which end, "front" or "back".
    """
    if {pad, cut} - {"front", "back"}:
        raise DatasetError(f"pad {pad!r} and cut {cut!r} should be 'front' or 'back'")
    sample = np.asarray(sample)
    fitted = np.zeros((count, sample.shape[1]), dtype=np.float32)
    kept = sample[max(len(sample) - count, 0) :] if cut == "front" else sample[:count]
    start = count - len(kept) if pad == "front" else 0
    fitted[start : start + len(kept)] = kept
    return fitted


def present_steps(tensor: np.ndarray) -> np.ndarray:
    """Which steps [N, T] are not padding: all except steps of zeros at the ends of a sample."""
    is_set = (tensor != 0).any(axis=2)
    return np.maximum.accumulate(is_set, axis=1) & np.maximum.accumulate(is_set[:, ::-1], axis=1)[:, ::-1]


def standardise(tensors: dict[str, np.ndarray], modality: str, real: Mapping[str, np.ndarray] | None = None) -> None:
    """Standardise each feature of a modality with the training split's mean and deviation; replaces the tensors.

    `real` says for each split which steps [N, T] are not padding. Padding is neither counted nor changed.
    """
    train = tensors[f"train/{modality}"]
    if real is None:
        mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    else:
        used = train[real["train"]].astype(np.float64)
        if not len(used):
            used = np.zeros((1, train.shape[2]))
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
        "modalities": as_json(modalities),
        "task": "regression" if classes is None else "classification",
        **({} if classes is None else {"classes": as_json(classes)}),
        "source": source,
        "licence": licence,
        "preparation": preparation,
    }


def names_by_split(names: Sequence[str], members: Mapping[str, Any]) -> str:
    """The header's `ids` or `groups`: the name of each sample, in the order of its split."""
    by_split = {split: [names[at] for at in members[split]] for split in SPLITS}
    return json.dumps(by_split, separators=(",", ":"), ensure_ascii=False)


def check(tensors: Mapping[str, np.ndarray], entries: Mapping[str, str]) -> None:
    """Make the checks of colearn's reader, while a message can still use the words of the data set."""
    modalities = json.loads(entries["modalities"])
    for name in modalities:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or name == "labels":
            raise DatasetError(f"modality name {name!r} may hold letters, digits, - and _, and not be `labels`")
    if not modalities or len(set(modalities)) != len(modalities):
        raise DatasetError(f"modalities {modalities} should be one or more distinct names")
    expected = {f"{split}/{part}" for split in SPLITS for part in (*modalities, "labels")}
    if expected != set(tensors):
        raise DatasetError(f"tensors {sorted(tensors)} are not those of modalities {modalities}")
    classes = json.loads(entries["classes"]) if entries["task"] == "classification" else None
    if classes is not None and (len(classes) < 2 or len(set(classes)) != len(classes) or "" in classes):
        raise DatasetError(f"classes {classes} should be at least two distinct names")
    for key in ("ids", "groups"):
        lists = json.loads(entries.get(key, "{}"))
        for split, names in lists.items():
            if len(names) != len(tensors[f"{split}/labels"]):
                raise DatasetError(f"{key} has {len(names)} names for {len(tensors[f'{split}/labels'])} {split} samples")
    for split in SPLITS:
        labels = tensors[f"{split}/labels"]
        if labels.ndim != 1 or labels.dtype != (np.float32 if classes is None else np.int64):
            raise DatasetError(f"{split}/labels is {labels.dtype} of shape {labels.shape}")
        if not len(labels):
            raise DatasetError(f"the {split} split is empty; is the release complete?")
        if classes is None and not np.isfinite(labels).all():
            raise DatasetError(f"{split}/labels holds NaN or infinite values")
        if classes is not None and not ((labels >= 0) & (labels < len(classes))).all():
            raise DatasetError(f"{split}/labels holds a label outside the {len(classes)} classes")
        steps = tensors[f"train/{modalities[0]}"].shape[1:2]
        for name in modalities:
            tensor = tensors[f"{split}/{name}"]
            shape = (len(labels), *steps, *tensors[f"train/{name}"].shape[2:])
            if tensor.ndim != 3 or tensor.shape != shape or 0 in shape or tensor.dtype != np.float32:
                raise DatasetError(f"{split}/{name} is {tensor.dtype} of shape {tensor.shape}, expected F32 {shape}")
            if not np.isfinite(tensor).all():
                raise DatasetError(f"{split}/{name} holds NaN or infinite values")


def write(path: Path, tensors: Mapping[str, np.ndarray], entries: Mapping[str, str]) -> None:
    """Check a data set and write it as one safetensors file, completely or not at all.

    The library's writer is not used, because its metadata comes in the order of a hash map. The same data must
    give the same bytes, and so the same digest, everywhere, and also from colearn itself.
    """
    check(tensors, entries)
    # The order of data-format/src/write.rs. The labels are first, so that 8-byte numbers are aligned.
    order = [f"{split}/labels" for split in SPLITS]
    order += [f"{split}/{name}" for split in SPLITS for name in json.loads(entries["modalities"])]
    infos: dict[str, object] = {}
    end = 0
    for name in order:
        tensor = tensors[name]
        kind = {"float32": "F32", "int64": "I64"}[tensor.dtype.name]
        infos[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    header = {"__metadata__": dict(sorted(entries.items())), **dict(sorted(infos.items()))}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise DatasetError(f"the header is {len(text)} bytes long, at most {MAX_HEADER_BYTES}: leave ids and groups out")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                tensor = tensors[name]
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
                raise DatasetError(f"{path} could not be read back; is the disk sound?")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
