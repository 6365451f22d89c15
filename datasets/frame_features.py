"""Per-frame features from CSV files, as OpenFace and other extractors write them.

A module to import, not a script.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

import colearn_data
from colearn_data import PrepareError, Report

# Columns with the number of the frame or the quality of its tracking: they are no features.
NOT_FEATURES = {"", "frame", "face_id", "timestamp", "confidence", "success"}
# A word that is shorter than a frame may contain none. It takes the nearest frame within this distance, in seconds.
NEAREST = 0.1


class FrameFeatures:
    """A folder of CSV files; one file at a time is in memory."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder = folder
        self.report = report
        self.files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.csv")):
            if path.stem in self.files:
                raise PrepareError(f"{path} and {self.files[path.stem]} have the same name; keep one of them")
            self.files[path.stem] = path
        if not self.files:
            raise PrepareError(f"{folder} holds no *.csv; expected one for each utterance or dialog")
        self.columns: list[str] | None = None
        self.first: Path | None = None
        self.ignored: list[str] = []
        self.held: tuple[str, np.ndarray, np.ndarray] | None = None

    def over_words(
        self, utterance: str, dialog: str, start: float, times: list[tuple[float, float]]
    ) -> np.ndarray | None:
        """[words, features]: the mean over the frames within each word, given in seconds from the utterance's start.

        `start` is the utterance's start in the dialog, in seconds. None if neither has a file. A word without a
        frame becomes zeros.
        """
        if utterance in self.files:
            stem, offset = utterance, 0.0
        elif dialog in self.files:
            stem, offset = dialog, start
        else:
            return None
        if self.held is None or self.held[0] != stem:
            self.held = (stem, *self.read(self.files[stem]))
        _, at, frames = self.held
        words = np.zeros((len(times), frames.shape[1]))
        for index, (begin, end) in enumerate(times):
            low, high = np.searchsorted(at, (begin + offset, end + offset))
            if low < high:
                words[index] = self.mean(frames[low:high])
                continue
            middle = (begin + end) / 2 + offset
            nearest = int(np.abs(at - middle).argmin()) if len(at) else None
            if nearest is not None and abs(at[nearest] - middle) <= NEAREST:
                words[index] = self.mean(frames[nearest : nearest + 1])
            else:
                self.report.count("words without a visual frame, whose video is zeros")
        return words

    def mean(self, frames: np.ndarray) -> np.ndarray:
        """The mean over the finite values of each feature; 0 where a word has none."""
        mean, missing = colearn_data.finite_mean(frames)
        self.report.count("video features that are NaN or infinite in every frame of a word, now 0", int(missing.sum()))
        return mean

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Times [frames], ascending, and features [frames, features] of the usable frames."""
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip() for name in next(rows, [])]
            lines = [row for row in rows if row]
        if "timestamp" not in header:
            raise PrepareError(f"{path} has no column `timestamp` (seconds)")
        for number, row in enumerate(lines, start=2):
            if len(row) != len(header):
                raise PrepareError(f"{path} line {number} has {len(row)} fields, its header {len(header)}")
        if self.columns is None:
            if not lines:
                raise PrepareError(f"{path} has no frame, so that its numeric columns cannot be told")
            candidates = [name for name in header if name.lower() not in NOT_FEATURES]
            numeric = [name for name in candidates if is_number(lines[0][header.index(name)])]
            if not numeric or len(set(numeric)) != len(numeric):
                raise PrepareError(f"{path} has no numeric column beside `timestamp`, or has one twice: {header[:8]}")
            self.columns, self.first = numeric, path
            self.ignored = [name for name in candidates if name not in numeric]
        missing = [name for name in self.columns if name not in header]
        more = [
            name
            for name in header
            if name.lower() not in NOT_FEATURES | {n.lower() for n in self.columns + self.ignored}
        ]
        if missing or more:
            raise PrepareError(f"{path} has other columns than {self.first}: {', '.join((missing + more)[:5])}")
        places = [header.index(name) for name in ("timestamp", *self.columns)]
        try:
            table = np.array([[float(row[place]) for place in places] for row in lines], dtype=np.float64)
        except ValueError as error:
            raise PrepareError(f"{path}: {error}; a numeric column should hold numbers") from error
        table = table.reshape(-1, len(places))
        usable = np.isfinite(table[:, 0])
        if "success" in header:
            place = header.index("success")
            usable &= np.array([row[place].strip() not in ("0", "0.0") for row in lines], dtype=bool)
        self.report.count("frames without a face or a time, which were not used", int((~usable).sum()))
        table = table[usable]
        table = table[np.argsort(table[:, 0], kind="stable")]
        bad = int((~np.isfinite(table[:, 1:])).sum())
        self.report.count("video values that are NaN or infinite and left out of the means", bad)
        return table[:, 0], table[:, 1:]

    def lines(self) -> list[str]:
        """The columns found, for the summary."""
        if self.columns is None:
            return ["video: no file was read"]
        ignored = f"; not numeric and ignored: {', '.join(self.ignored)}" if self.ignored else ""
        return [f"video: {len(self.columns)} features, {self.columns[0]} to {self.columns[-1]}{ignored}"]


def is_number(text: str) -> bool:
    """Whether a field can be averaged."""
    try:
        float(text)
    except ValueError:
        return False
    return True
