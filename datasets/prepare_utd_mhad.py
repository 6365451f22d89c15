#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
#     "scipy>=1.11",
# ]
# ///
"""Convert the public UTD-MHAD release to a colearn data set.

UTD-MHAD (UTD Multimodal Human Action Dataset; Chen, Jafari and Kehtarnavaz, ICIP 2015) records 27 actions
by 8 subjects, up to 4 times each, with a wearable inertial sensor and a Kinect. This script reads
Inertial.zip and Skeleton.zip (or the folders they unpack to) and writes one safetensors file with two
modalities, "inertial" (6 features a step) and "skeleton" (60), and the action as the label. With
--modalities accelerometer,gyroscope,skeleton the two halves of the inertial sensor are modalities of their
own (3 features each), for models that need three modalities.

Processing of a clip, in this order:
  skeleton  made relative to the first joint of the first frame; 20 joints x 3 coordinates = 60 features
  time      resampled linearly to --steps time steps
  scale     each feature standardised with the training subjects' mean and standard deviation
Subjects 1, 3 and 5 train, 7 validates, 2, 4, 6 and 8 test: the set's own cross-subject protocol, with one
of its four training subjects kept for validation. --folds 4 writes a file for each of four folds instead: every
subject is in the test set of one fold, together with one other, and the next two subjects validate.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

import colearn_data
from colearn_data import PrepareError, Progress, Report

SUBJECTS = range(1, 9)
SPLITS: dict[str, tuple[int, ...]] = {"train": (1, 3, 5), "valid": (7,), "test": (2, 4, 6, 8)}
RECORDINGS = ("inertial", "skeleton")
VARIABLES = {"inertial": "d_iner", "skeleton": "d_skel"}
# The modalities of each layout: the recording that a modality is taken from, and its features.
SKELETON = ("skeleton", slice(0, 60))
LAYOUTS: dict[str, dict[str, tuple[str, slice]]] = {
    "inertial,skeleton": {"inertial": ("inertial", slice(0, 6)), "skeleton": SKELETON},
    "accelerometer,gyroscope,skeleton": {
        "accelerometer": ("inertial", slice(0, 3)),
        "gyroscope": ("inertial", slice(3, 6)),
        "skeleton": SKELETON,
    },
}
TWO, THREE = LAYOUTS
OUT = {TWO: "data/utd-mhad.safetensors", THREE: "data/utd-mhad-3.safetensors"}
# In the order of the release's action numbers, 1 to 27.
CLASSES = (
    "swipe left", "swipe right", "wave", "clap", "throw", "cross arms", "basketball shoot", "draw x",
    "draw circle clockwise", "draw circle counter-clockwise", "draw triangle", "bowling", "boxing",
    "baseball swing", "tennis forehand", "arm curl", "tennis serve", "push", "knock", "catch",
    "pick up and throw", "jog", "walk", "sit to stand", "stand to sit", "lunge", "squat",
)  # fmt: skip
FILE_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_(inertial|skeleton)\.mat$")


class Clip(NamedTuple):
    """A recording, identified by the numbers in the release's file names, which count from 1."""

    action: int
    subject: int
    trial: int

    def __str__(self) -> str:
        return f"a{self.action}_s{self.subject}_t{self.trial}"


def matlab_files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every file of a zip archive or a folder: its name without folders, and a function that reads it."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file():
                yield path.name, path.read_bytes
    elif source.is_file():
        try:
            with zipfile.ZipFile(source) as archive:
                for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                    if not entry.is_dir():
                        yield Path(entry.filename).name, lambda entry=entry: archive.read(entry)
        except (zipfile.BadZipFile, EOFError) as error:
            raise PrepareError(f"{source} is not a complete zip archive ({error}); download it again") from error
    else:
        raise PrepareError(f"{source} does not exist; datasets/README.md says where to obtain UTD-MHAD")


def to_steps(modality: str, array: np.ndarray) -> np.ndarray:
    """A recording as [frames, features]; ValueError says why it cannot be used."""
    if modality == "inertial":
        if array.ndim != 2 or array.shape[1] != 6:
            raise ValueError(f"d_iner has shape {array.shape}, expected (frames, 6)")
        steps = array
    else:
        if array.ndim != 3 or array.shape[:2] != (20, 3):
            raise ValueError(f"d_skel has shape {array.shape}, expected (20, 3, frames)")
        # The position of the subject in the room says nothing about the action.
        relative = array - array[:1, :, :1]
        steps = relative.transpose(2, 0, 1).reshape(array.shape[2], 60)
    if len(steps) < 2:
        raise ValueError(f"{len(steps)} frame(s): too short to resample")
    if not np.isfinite(steps).all():
        raise ValueError("holds NaN or infinite values")
    return steps


def resample(steps: np.ndarray, count: int) -> np.ndarray:
    """Linear interpolation of [frames, features] at `count` evenly spaced times, ends included."""
    at = np.linspace(0.0, len(steps) - 1.0, count)
    left = np.minimum(at.astype(np.int64), len(steps) - 2)
    weight = (at - left)[:, None]
    return steps[left] * (1.0 - weight) + steps[left + 1] * weight


def read_modality(modality: str, source: Path, steps: int, report: Report) -> dict[Clip, np.ndarray]:
    """Every usable clip of one modality, resampled to [steps, features]. Records omitted clips in `report`."""
    clips: dict[Clip, np.ndarray] = {}
    with Progress(f"reading {modality}") as progress:
        for name, read in matlab_files(source):
            match = FILE_NAME.match(name)
            if match is None or match[4] != modality:
                report.drop("not a clip of this modality by its name", name)
                continue
            clip = Clip(int(match[1]), int(match[2]), int(match[3]))
            progress.step()
            if not 1 <= clip.action <= len(CLASSES) or clip.subject not in SUBJECTS:
                report.drop("action or subject outside the release's 27 and 8", name)
                continue
            if clip in clips:
                raise PrepareError(f"{source} holds {name} twice; unpack the release into an empty folder")
            try:
                content = scipy.io.loadmat(io.BytesIO(read()))
            except zipfile.BadZipFile as error:
                raise PrepareError(f"{name} in {source} is damaged ({error}); download it again") from error
            except Exception as error:  # scipy raises many kinds of errors for a file that is not MATLAB's.
                raise PrepareError(f"{name} in {source} is not a readable MATLAB v5 file ({error})") from error
            if VARIABLES[modality] not in content:
                raise PrepareError(f"{name} in {source} has no variable {VARIABLES[modality]}; is this UTD-MHAD?")
            try:
                array = np.asarray(content[VARIABLES[modality]], dtype=np.float64)
                clips[clip] = resample(to_steps(modality, array), steps)
            except (TypeError, ValueError) as error:
                report.drop(str(error), name)
    if not clips:
        raise PrepareError(
            f"{source} holds no usable a*_s*_t*_{modality}.mat; expected {modality.capitalize()}.zip of UTD-MHAD"
        )
    return clips


def read(inertial: Path, skeleton: Path, steps: int, report: Report) -> dict[str, dict[Clip, np.ndarray]]:
    """By recording, the clips that have both."""
    sources = {"inertial": inertial, "skeleton": skeleton}
    clips = {recording: read_modality(recording, sources[recording], steps, report) for recording in RECORDINGS}
    for recording, other in (RECORDINGS, RECORDINGS[::-1]):
        for clip in sorted(clips[recording].keys() - clips[other].keys()):
            report.drop(f"has no usable {other} recording", f"{clip} {recording}")
    both = sorted(clips["inertial"].keys() & clips["skeleton"].keys())
    return {recording: {clip: clips[recording][clip] for clip in both} for recording in RECORDINGS}


def divisions(folds: int | None) -> list[dict[str, tuple[int, ...]]]:
    """The subjects of each split, for each file: the set's own division, or all folds.

    Subjects that follow one another form a group. As with `colearn data import --folds`, one group tests, the next one
    validates, and the others train.
    """
    if folds is None:
        return [SPLITS]
    groups = [tuple(int(subject) for subject in group) for group in np.array_split(SUBJECTS, folds)]
    made = []
    for fold in range(folds):
        chosen = {"valid": groups[(fold + 1) % folds], "test": groups[fold]}
        train = tuple(subject for subject in SUBJECTS if not any(subject in group for group in chosen.values()))
        made.append({"train": train, **chosen})
    return made


def clips_of(clips: dict[str, dict[Clip, np.ndarray]], subjects: Iterable[int]) -> list[Clip]:
    """The clips of some subjects, in the order of their samples."""
    return [clip for clip in clips["inertial"] if clip.subject in subjects]


def sample_names(
    clips: dict[str, dict[Clip, np.ndarray]], division: dict[str, tuple[int, ...]]
) -> dict[str, str]:
    """The header entries that name the samples by clip, and group them by subject."""
    members = {split: clips_of(clips, subjects) for split, subjects in division.items()}
    groups = {split: [f"s{clip.subject}" for clip in of_split] for split, of_split in members.items()}
    return colearn_data.sample_names(members, groups)


def prepare(
    layout: str, clips: dict[str, dict[Clip, np.ndarray]], division: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The tensors of a data set by name; `layout` is one of LAYOUTS."""
    tensors: dict[str, np.ndarray] = {}
    for split, subjects in division.items():
        members = clips_of(clips, subjects)
        missing = sorted(set(subjects) - {clip.subject for clip in members})
        if missing:
            raise PrepareError(
                f"no clip of subject {numbers(missing)} for the {split} split; is the release complete?"
            )
        for modality, (recording, features) in LAYOUTS[layout].items():
            tensors[f"{split}/{modality}"] = np.stack([clips[recording][clip][:, features] for clip in members])
        tensors[f"{split}/labels"] = np.array([clip.action - 1 for clip in members], dtype=np.int64)
    untrained = sorted(set(range(len(CLASSES))) - set(tensors["train/labels"].tolist()))
    if untrained:
        names = ", ".join(f"{index + 1} ({CLASSES[index]})" for index in untrained)
        raise PrepareError(f"no training clip of action {names}; is the release complete?")

    for modality in LAYOUTS[layout]:
        colearn_data.standardise(tensors, modality)
    return tensors


def numbers(values: Iterable[int], separator: str = ", ") -> str:
    """Numbers as text."""
    return separator.join(map(str, values))


def metadata(layout: str, steps: int, division: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """The header entries that the format requires."""
    halves = "; inertial features 1 to 3 as accelerometer, 4 to 6 as gyroscope" if layout == THREE else ""
    subjects = ", ".join(f"{numbers(subjects, ',')} {split}" for split, subjects in division.items())
    return colearn_data.metadata(
        list(LAYOUTS[layout]),
        CLASSES,
        source="UTD-MHAD, Chen, Jafari and Kehtarnavaz, ICIP 2015, https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
        licence="called freely available by its authors, without a formal licence; cite the ICIP 2015 paper",
        preparation=f"datasets/prepare_utd_mhad.py: subjects {subjects}; skeleton relative "
        f"to the first joint of the first frame; resampled linearly to {steps} steps; standardised per feature "
        f"with the training subjects' mean and deviation{halves}",
    )


def find(release: Path, given: Path | None, stem: str) -> Path:
    """The archive or folder of one modality: the given one, or the one in the release's folder."""
    if given is not None:
        return given
    for candidate in (release / f"{stem}.zip", release / stem):
        if candidate.exists():
            return candidate
    raise PrepareError(
        f"neither {stem}.zip nor a folder {stem} in {release}; datasets/README.md says where to obtain UTD-MHAD"
    )


def summary(layout: str, tensors: dict[str, np.ndarray], division: dict[str, tuple[int, ...]]) -> list[str]:
    """The subjects and shapes of each split."""
    return [
        f"{split}: subjects {numbers(subjects)}; {colearn_data.shapes(tensors, list(LAYOUTS[layout]), split)}"
        for split, subjects in division.items()
    ]


def fold_count(text: str) -> int:
    """A number of folds: at least one subject in each, and one fold each to train, validate and test."""
    count = int(text)
    if not 3 <= count <= len(SUBJECTS):
        raise argparse.ArgumentTypeError(f"from 3 to {len(SUBJECTS)}")
    return count


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = colearn_data.parser(__doc__, OUT[TWO])
    parser.set_defaults(out=None)
    parser.add_argument(
        "release", nargs="?", type=Path, default=Path("."),
        help="folder with Inertial.zip and Skeleton.zip, or with the folders Inertial and Skeleton (default: here)",
    )  # fmt: skip
    parser.add_argument("--inertial", type=Path, metavar="PATH", help="Inertial.zip or its folder, if elsewhere")
    parser.add_argument("--skeleton", type=Path, metavar="PATH", help="Skeleton.zip or its folder, if elsewhere")
    parser.add_argument("--steps", type=colearn_data.at_least(2), default=30, help="time steps per clip (default: 30)")
    parser.add_argument(
        "--modalities", choices=list(LAYOUTS), default=TWO,
        help=f"modalities of the data set; the second is written to {OUT[THREE]} unless --out says otherwise "
        f"(default: {TWO})",
    )  # fmt: skip
    parser.add_argument(
        "--folds", type=fold_count, metavar="N",
        help="write N files for a cross-validation, -fold0 and so on, whose test sets have different subjects: with 4 "
        "two each, with 8 one",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    layout = options.modalities
    out = options.out or Path(OUT[layout])
    outs = [out] if options.folds is None else colearn_data.fold_paths(out, options.folds)

    def run() -> list[str]:
        report = Report()
        inertial = find(options.release, options.inertial, "Inertial")
        skeleton = find(options.release, options.skeleton, "Skeleton")
        clips = read(inertial, skeleton, options.steps, report)
        # All are made before the first is written: a mistake in one fold must not leave some of the files.
        made = [(prepare(layout, clips, division), division) for division in divisions(options.folds)]
        lines = []
        for fold, (path, (tensors, division)) in enumerate(zip(outs, made, strict=True)):
            entries = metadata(layout, options.steps, division) | sample_names(clips, division)
            colearn_data.write(path, tensors, entries)
            before = "" if options.folds is None else f"fold {fold}, "
            lines += [before + line for line in summary(layout, tensors, division)]
        return lines + report.lines()

    return colearn_data.finish(run, *outs)


if __name__ == "__main__":
    sys.exit(main())
