#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
# ]
# ///
"""Convert UR-FUNNY, version 2, to a colearn data set: is the last sentence, the punchline, humorous?

UR-FUNNY (Hasan et al., EMNLP-IJCNLP 2019) has clips of talks with word-aligned features. This script reads, in one
folder, the pickles that https://github.com/ROC-HCI/UR-FUNNY documents:
  data_folds.pkl              the ids of the clips in train, dev and test, which have different speakers
  humor_label_sdk.pkl         0 or 1 for each id
  language_sdk.pkl            punchline_embedding_indexes: for each word, a place in the list of vectors
  word_embedding_list.pkl     the list of vectors: GloVe, 300 numbers each
  covarep_features_sdk.pkl    punchline_features: 81 numbers for each word
  openface_features_sdk.pkl   punchline_features: 371 numbers for each word
A time step is a word of the punchline. The first --steps words are used, as in the authors' own loader; shorter
sentences have zeros in front. The sentences before the punchline, its context, are not used. NaN and infinite values
become 0. Only arrays and plain containers are read; a pickle that needs anything else is refused and not run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import colearn_data
import safe_pickle
from colearn_data import SPLITS, PrepareError, Report

CLASSES = ("serious", "humorous")
FOLDS = {"train": "train", "valid": "dev", "test": "test"}
FRAMES = {"audio": "covarep_features_sdk.pkl", "video": "openface_features_sdk.pkl"}


def load(folder: Path, name: str, kind: type) -> object:
    """The content of one file, which is a dictionary or a list."""
    path = folder / name
    if not path.is_file():
        raise PrepareError(f"{path} does not exist; datasets/README.md says where to obtain UR-FUNNY")
    content = safe_pickle.load(path)
    if not isinstance(content, kind) and not (kind is list and isinstance(content, np.ndarray)):
        raise PrepareError(f"{path} holds {type(content).__name__}, expected {kind.__name__}; is this version 2?")
    return content


def read_folds(folder: Path) -> dict[str, list[object]]:
    """The ids of each split; no id may occur twice."""
    content = load(folder, "data_folds.pkl", dict)
    folds = {}
    for split, key in FOLDS.items():
        if not isinstance(content.get(key), list | tuple | np.ndarray):
            has = ", ".join(map(str, content))
            raise PrepareError(f"{folder / 'data_folds.pkl'} has {has}; expected train, dev, test")
        folds[split] = list(content[key])
    ids = [name for names in folds.values() for name in names]
    if len(set(ids)) != len(ids):
        raise PrepareError(f"{folder / 'data_folds.pkl'} has {len(ids) - len(set(ids))} ids in two places")
    return folds


def punchline(path: Path, content: Mapping[object, object], name: object, key: str) -> object | None:
    """What a file holds for the punchline of one clip; None if it does not have the clip."""
    clip = content.get(name)
    if clip is None:
        return None
    if not isinstance(clip, dict) or key not in clip:
        holds = ", ".join(map(str, clip)) if isinstance(clip, dict) else type(clip).__name__
        raise PrepareError(f"{path}: clip {name} has {holds}; expected {key}: is this version 2?")
    return clip[key]


def numbers(values: object, path: Path, name: object, dimensions: int) -> np.ndarray:
    """Numbers as an array of that many dimensions, with at least one entry."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PrepareError(f"{path}: clip {name} is no array of numbers ({error})") from error
    if array.ndim != dimensions:
        raise PrepareError(f"{path}: clip {name} has shape {array.shape}, expected {dimensions} dimension(s)")
    return array


def read_language(folder: Path, ids: list[object]) -> dict[object, np.ndarray]:
    """[words, vector] of each punchline that has words."""
    path, list_path = folder / "language_sdk.pkl", folder / "word_embedding_list.pkl"
    vectors = numbers(load(folder, list_path.name, list), list_path, "list of vectors", 2)
    content = load(folder, path.name, dict)
    found = {}
    for name in ids:
        indices = punchline(path, content, name, "punchline_embedding_indexes")
        if indices is None or not len(indices):
            continue
        places = numbers(indices, path, name, 1).astype(np.int64)
        if places.min() < 0 or places.max() >= len(vectors):
            raise PrepareError(
                f"{path}: clip {name} has word {places.max()}, {list_path.name} has {len(vectors)} vectors"
            )
        found[name] = vectors[places].astype(np.float32)
    return found


def read_frames(folder: Path, modality: str, ids: list[object], report: Report) -> dict[object, np.ndarray]:
    """[words, features] of each punchline that has them; the number of features is the same in all clips."""
    path = folder / FRAMES[modality]
    content = load(folder, path.name, dict)
    found: dict[object, np.ndarray] = {}
    width = None
    for name in ids:
        rows = punchline(path, content, name, "punchline_features")
        if rows is None or not len(rows):
            continue
        array = colearn_data.make_finite(numbers(rows, path, name, 2), modality, report).astype(np.float32)
        width = width or array.shape[1]
        if array.shape[1] != width:
            raise PrepareError(f"{path}: clip {name} has {array.shape[1]} features, others have {width}")
        found[name] = array
    return found


def prepare(options: argparse.Namespace) -> list[str]:
    """Prepare the data set; return the summary."""
    report = Report()
    folder: Path = options.folder
    folds = read_folds(folder)
    ids = [name for names in folds.values() for name in names]
    labels = load(folder, "humor_label_sdk.pkl", dict)
    found = {"language": read_language(folder, ids)}
    for modality in FRAMES:  # One large file at a time.
        found[modality] = read_frames(folder, modality, ids, report)

    tensors: dict[str, np.ndarray] = {}
    real: dict[str, np.ndarray] = {}
    used: dict[str, list[object]] = {}
    for split, names in folds.items():
        members = [name for name in names if usable(name, found, labels, report)]
        used[split] = members
        if not members:
            raise PrepareError(f"no usable clip for the {split} split; are the files complete?")
        for modality, rows in found.items():
            kept = [colearn_data.fit_steps(rows[name], options.steps, pad="front", cut="back") for name in members]
            tensors[f"{split}/{modality}"] = np.stack(kept)
        tensors[f"{split}/labels"] = np.array([int(labels[name]) for name in members], dtype=np.int64)
        words = np.array([len(found["language"][name]) for name in members])
        longer = int((words > options.steps).sum())
        report.count(f"punchlines longer than {options.steps} words, of which the first are used", longer)
        real[split] = np.arange(options.steps) >= options.steps - words[:, None]
    if options.scale == "standard":
        for modality in FRAMES:
            colearn_data.standardise(tensors, modality, real)
    scaled = "; audio and video standardised over the training words" if options.scale == "standard" else ""
    entries = colearn_data.metadata(
        list(found), CLASSES,
        "UR-FUNNY version 2, Hasan et al., EMNLP-IJCNLP 2019, https://github.com/ROC-HCI/UR-FUNNY",
        "the publishers' terms; see the source",
        f"datasets/prepare_ur_funny.py: the first {options.steps} words of the punchline, zeros in front, without its "
        f"context; NaN and infinite values 0{scaled}; the published folds, dev as valid",
    )  # fmt: skip
    # The release does not say whose clip it is, so that there are no groups.
    entries |= colearn_data.sample_names(used)
    colearn_data.write(options.out, tensors, entries)
    splits = [f"{split}: {colearn_data.shapes(tensors, list(found), split)}" for split in SPLITS]
    return [*splits, *report.lines()]


def usable(
    name: object, found: dict[str, dict[object, np.ndarray]], labels: Mapping[object, object], report: Report
) -> bool:
    """Whether a clip has a label and the same words in every modality; the report says why not."""
    missing = [modality for modality, rows in found.items() if name not in rows]
    words = {modality: len(rows[name]) for modality, rows in found.items() if name in rows}
    if labels.get(name) not in (0, 1):
        report.drop("has no label 0 or 1", str(name))
    elif missing:
        report.drop(f"has no {' and no '.join(missing)} for its punchline", str(name))
    elif len(set(words.values())) != 1:
        report.drop("its modalities have different numbers of words", str(name))
    else:
        return True
    return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = colearn_data.parser(__doc__, "data/ur-funny.safetensors")
    parser.add_argument("folder", type=Path, help="with data_folds.pkl, language_sdk.pkl and the others")
    parser.add_argument("--steps", type=colearn_data.at_least(1), default=20, help="words per punchline (default: 20)")
    parser.add_argument(
        "--scale", choices=("standard", "raw"), default="standard",
        help="audio and video: mean 0 and deviation 1 over the training words, or as published (default: standard)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    return colearn_data.finish(lambda: prepare(options), options.out)


if __name__ == "__main__":
    sys.exit(main())
