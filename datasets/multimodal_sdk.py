"""Computational sequences (.csd) of the CMU Multimodal SDK: timed features of videos, and their alignment to words.

A module to import, not a script. A file is HDF5: /<root>/data/<video or video[segment]>/{features, intervals}, the
intervals [rows, 2] in seconds.
"""

from __future__ import annotations

import collections
import re
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

import colearn_data
from colearn_data import PrepareError, Progress, Report
from word_vectors import WordVectors

# How the SDK's forced alignment writes a pause.
PAUSES = ("sp", "")


class Rows(NamedTuple):
    """The rows of one video in a sequence, sorted by their start."""

    intervals: np.ndarray  # [rows, 2], seconds
    features: np.ndarray  # [rows, features]


class Sequence:
    """An open .csd file, read video by video: the larger ones do not fit into memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = h5py.File(path)
        except OSError as error:
            if not path.is_file():
                raise PrepareError(f"{path} does not exist") from error
            raise PrepareError(f"{path} is not a complete HDF5 file ({error}); download it again") from error
        roots = [root for root in self.file.values() if isinstance(root, h5py.Group) and "data" in root]
        if len(roots) != 1:
            raise PrepareError(f"{path} has {len(roots)} groups with `data`, expected one: is this a .csd file?")
        self.data = roots[0]["data"]
        keys = collections.defaultdict(list)
        for key in self.data:
            keys[re.sub(r"\[\d+\]$", "", key)].append(key)
        self.keys = dict(keys)

    def rows(self, video: str) -> Rows | None:
        """All rows of a video; None if it has none."""
        if video not in self.keys:
            return None
        intervals, features = [], []
        for key in self.keys[video]:
            entry = self.data[key]
            if not isinstance(entry, h5py.Group) or not {"intervals", "features"} <= set(entry):
                raise PrepareError(f"{self.path}: {key} has no features and intervals")
            intervals.append(np.asarray(entry["intervals"], dtype=np.float64))
            features.append(np.asarray(entry["features"]))
            rows = len(features[-1])
            if features[-1].ndim != 2 or intervals[-1].shape != (rows, 2):
                raise PrepareError(
                    f"{self.path}: {key} has features {features[-1].shape} and intervals {intervals[-1].shape}, "
                    "expected (rows, features) and (rows, 2)"
                )
        together = Rows(np.concatenate(intervals), np.concatenate(features))
        order = np.argsort(together.intervals[:, 0], kind="stable")
        return Rows(together.intervals[order], together.features[order])


class Pooled(NamedTuple):
    """The means over words."""

    values: np.ndarray  # [words, features]; 0 where there is nothing to average
    without_rows: int  # words that no row overlaps
    without_values: int  # words with rows, all of whose values are NaN or infinite
    gaps: int  # single features of the other words that have no finite value there


def over_words(rows: Rows, words: np.ndarray) -> Pooled:
    """The mean of the rows that overlap each word, for each feature over its finite values."""
    starts, ends = rows.intervals[:, 0], np.maximum.accumulate(rows.intervals[:, 1])
    low = np.searchsorted(ends, words[:, 0], side="right")
    high = np.searchsorted(starts, words[:, 1], side="left")
    made = np.zeros((len(words), rows.features.shape[1]))
    without_values, gaps = 0, 0
    for index, (first, end) in enumerate(zip(low, high, strict=True)):
        if first < end:
            made[index], missing = colearn_data.finite_mean(rows.features[first:end])
            if missing.all():
                without_values += 1
            else:
                gaps += int(missing.sum())
    return Pooled(made, int((low >= high).sum()), without_values, gaps)


class Segment(NamedTuple):
    """A labelled segment of a video and its words, without pauses."""

    name: str
    video: str
    label: float
    words: np.ndarray  # [words, 2], seconds
    texts: list[str]


def segments(labels: Sequence, words: Sequence, report: Report) -> list[Segment]:
    """Every labelled segment that has words. A word belongs to the segment that contains its middle.

    The label is the first column, which is the sentiment in MOSI's and in MOSEI's labels.
    """
    found = []
    for video in sorted(labels.keys):
        labelled, spoken = labels.rows(video), words.rows(video)
        if spoken is None:
            report.drop("video has no words", video)
            continue
        if spoken.features.dtype.kind not in "SO" or spoken.features.shape[1] != 1:
            raise PrepareError(f"{words.path}: {video} holds {spoken.features.dtype}, expected one word a row")
        texts = [
            text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in spoken.features[:, 0]
        ]
        word = np.array([text not in PAUSES for text in texts], dtype=bool)
        starts, ends = spoken.intervals.T
        middles = (starts + ends) / 2
        for index, ((start, end), values) in enumerate(zip(labelled.intervals, labelled.features, strict=True)):
            name = f"{video}[{index}]"
            inside = word & (start <= middles) & (middles < end)
            if not inside.any():
                # MOSI has two segments that lie within a word; one of them has no length.
                inside = word & (starts <= end) & (start < ends)
                report.count("segments shorter than a word, which got the words they touch", int(inside.any()))
            if not inside.any():
                report.drop("no word within the segment", name)
            elif not np.isfinite(values[0]):
                report.drop("its label is NaN", name)
            else:
                chosen = np.flatnonzero(inside)
                own = [texts[place] for place in chosen]
                found.append(Segment(name, video, float(values[0]), spoken.intervals[chosen], own))
    if not found:
        raise PrepareError(f"{labels.path} and {words.path} have no labelled segment with words in common")
    return found


def aligned(
    chosen: list[Segment],
    sequences: dict[str, Sequence],
    columns: dict[str, list[int] | None],
    vectors: WordVectors | None,
    steps: int,
    report: Report,
) -> dict[str, np.ndarray]:
    """For each modality [segments, steps, features], one step per word, in the order of the segments."""
    made: dict[str, list[np.ndarray]] = {name: [] for name in (["language"] if vectors else []) + list(sequences)}
    video, held = None, {}
    with Progress("aligning segments", len(chosen)) as progress:
        for segment in chosen:
            progress.step()
            if segment.video != video:
                video = segment.video
                held = {
                    name: read(name, sequence, video, columns.get(name), report) for name, sequence in sequences.items()
                }
            if vectors:
                language = np.stack([vectors[text] for text in segment.texts])
                made["language"].append(colearn_data.pad_front(language, steps))
            for name, rows in held.items():
                pooled = over_words(rows, segment.words)
                report.count(f"words without {name}, which are zeros there", pooled.without_rows)
                report.count(
                    f"words whose {name} is NaN or infinite in every row, which are zeros there", pooled.without_values
                )
                report.count(f"{name} features that are NaN or infinite in every row of a word, now 0", pooled.gaps)
                made[name].append(colearn_data.pad_front(pooled.values, steps))
    return {name: np.stack(rows) for name, rows in made.items()}


def read(name: str, sequence: Sequence, video: str, columns: list[int] | None, report: Report) -> Rows:
    """The features of one video: the chosen columns."""
    rows = sequence.rows(video)
    if rows is None:
        report.drop(f"video has no {name}: zeros instead", video)
        width = sequence.data[next(iter(sequence.data))]["features"].shape[1]
        rows = Rows(np.zeros((0, 2)), np.zeros((0, width)))
    if rows.features.dtype.kind not in "fiu":
        raise PrepareError(f"{sequence.path}: {video} holds {rows.features.dtype}, expected numbers")
    features = rows.features
    if columns is not None:
        if max(columns) >= features.shape[1]:
            raise PrepareError(
                f"{sequence.path} has columns 0 to {features.shape[1] - 1}; {max(columns)} was asked for"
            )
        features = features[:, columns]
    invalid = int((~np.isfinite(features)).sum())
    report.count(f"{name} values that are NaN or infinite and left out of the means", invalid)
    return Rows(rows.intervals, features)
