#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
#     "scipy>=1.11",
# ]
# ///
"""Turn the public UTD-MHAD release into a colearn data set.

UTD-MHAD (UTD Multimodal Human Action Dataset; Chen, Jafari and Kehtarnavaz, ICIP 2015) records 27 actions
by 8 subjects, up to 4 times each, with a wearable inertial sensor and a Kinect. This script reads
Inertial.zip and Skeleton.zip (or the folders they unpack to) and writes one safetensors file with two
modalities, "inertial" (6 features a step) and "skeleton" (60), and the action as the label.

What is done to a clip, in this order:
  skeleton  made relative to the first joint of the first frame; 20 joints x 3 coordinates = 60 features
  time      resampled linearly to --steps time steps
  scale     each feature standardised with the training subjects' mean and standard deviation
Subjects 1, 3 and 5 train, 7 validates, 2, 4, 6 and 8 test: the set's own cross-subject protocol, with one
of its four training subjects kept for validation.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import re
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import numpy as np
import scipy.io
from safetensors.numpy import load_file

SPLITS = {"train": (1, 3, 5), "valid": (7,), "test": (2, 4, 6, 8)}
MODALITIES = ("inertial", "skeleton")
VARIABLES = {"inertial": "d_iner", "skeleton": "d_skel"}
# In the order of the release's action numbers, 1 to 27.
CLASSES = (
    "swipe left", "swipe right", "wave", "clap", "throw", "cross arms", "basketball shoot", "draw x",
    "draw circle clockwise", "draw circle counter-clockwise", "draw triangle", "bowling", "boxing",
    "baseball swing", "tennis forehand", "arm curl", "tennis serve", "push", "knock", "catch",
    "pick up and throw", "jog", "walk", "sit to stand", "stand to sit", "lunge", "squat",
)  # fmt: skip
FILE_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_(inertial|skeleton)\.mat$")


class PrepareError(Exception):
    """Something a person has to mend; the message says what and how."""


class Clip(NamedTuple):
    """Which recording: numbers as in the release's file names, counting from 1."""

    action: int
    subject: int
    trial: int

    def __str__(self) -> str:
        return f"a{self.action}_s{self.subject}_t{self.trial}"


def matlab_files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every file of a zip archive or a folder: its name without folders, and how to read it."""
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
    """A recording as [frames, features]; ValueError says why it can not be used."""
    if modality == "inertial":
        if array.ndim != 2 or array.shape[1] != 6:
            raise ValueError(f"d_iner has shape {array.shape}, expected (frames, 6)")
        steps = array
    else:
        if array.ndim != 3 or array.shape[:2] != (20, 3):
            raise ValueError(f"d_skel has shape {array.shape}, expected (20, 3, frames)")
        # Where the subject stands in the room says nothing about the action.
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


def read_modality(modality: str, source: Path, steps: int, dropped: dict[str, list[str]]) -> dict[Clip, np.ndarray]:
    """Every usable clip of one modality, resampled to [steps, features]. Adds what is left out to `dropped`."""
    clips: dict[Clip, np.ndarray] = {}
    seen = 0
    for name, read in matlab_files(source):
        match = FILE_NAME.match(name)
        if match is None or match[4] != modality:
            dropped["not a clip of this modality by its name"].append(name)
            continue
        clip = Clip(int(match[1]), int(match[2]), int(match[3]))
        seen += 1
        if seen % 100 == 0:
            print(f"reading {modality}: {seen} clips", flush=True)
        if not 1 <= clip.action <= len(CLASSES) or not any(clip.subject in subjects for subjects in SPLITS.values()):
            dropped["action or subject outside the release's 27 and 8"].append(name)
            continue
        if clip in clips:
            raise PrepareError(f"{source} holds {name} twice; unpack the release into an empty folder")
        try:
            content = scipy.io.loadmat(io.BytesIO(read()))
        except zipfile.BadZipFile as error:
            raise PrepareError(f"{name} in {source} is damaged ({error}); download it again") from error
        except Exception as error:  # scipy raises many kinds on a file that is not MATLAB's.
            raise PrepareError(f"{name} in {source} is not a readable MATLAB v5 file ({error})") from error
        if VARIABLES[modality] not in content:
            raise PrepareError(f"{name} in {source} has no variable {VARIABLES[modality]}; is this UTD-MHAD?")
        try:
            array = np.asarray(content[VARIABLES[modality]], dtype=np.float64)
            clips[clip] = resample(to_steps(modality, array), steps)
        except (TypeError, ValueError) as error:
            dropped[str(error)].append(name)
    if not clips:
        raise PrepareError(
            f"{source} holds no usable a*_s*_t*_{modality}.mat; expected {modality.capitalize()}.zip of UTD-MHAD"
        )
    print(f"reading {modality}: {len(clips)} clips, done", flush=True)
    return clips


def prepare(inertial: Path, skeleton: Path, steps: int) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The tensors of the data set by name, and what was left out by reason."""
    dropped: dict[str, list[str]] = collections.defaultdict(list)
    sources = {"inertial": inertial, "skeleton": skeleton}
    clips = {modality: read_modality(modality, sources[modality], steps, dropped) for modality in MODALITIES}
    for modality, other in (MODALITIES, MODALITIES[::-1]):
        for clip in sorted(clips[modality].keys() - clips[other].keys()):
            dropped[f"has no usable {other} recording"].append(f"{clip} {modality}")
    both = sorted(clips["inertial"].keys() & clips["skeleton"].keys())

    tensors: dict[str, np.ndarray] = {}
    for split, subjects in SPLITS.items():
        members = [clip for clip in both if clip.subject in subjects]
        if not members:
            raise PrepareError(f"no clip of subjects {subjects} for the {split} split; is the release complete?")
        for modality in MODALITIES:
            tensors[f"{split}/{modality}"] = np.stack([clips[modality][clip] for clip in members])
        tensors[f"{split}/labels"] = np.array([clip.action - 1 for clip in members], dtype=np.int64)
    untrained = sorted(set(range(len(CLASSES))) - set(tensors["train/labels"].tolist()))
    if untrained:
        names = ", ".join(f"{index + 1} ({CLASSES[index]})" for index in untrained)
        raise PrepareError(f"no training clip of action {names}; is the release complete?")

    for modality in MODALITIES:
        train = tensors[f"train/{modality}"]
        mean = train.mean(axis=(0, 1))
        deviation = train.std(axis=(0, 1))
        # A feature that never varies in training carries nothing: it becomes 0. Resampling rounds, so that its
        # deviation need not be exactly 0, and dividing by it would make noise of nothing.
        varies = deviation > 1e-9 * np.abs(mean)
        scale = np.where(varies, 1.0, 0.0) / np.where(varies, deviation, 1.0)
        for split in SPLITS:
            tensors[f"{split}/{modality}"] = ((tensors[f"{split}/{modality}"] - mean) * scale).astype(np.float32)
    return tensors, dropped


def metadata(steps: int) -> dict[str, str]:
    """The header entries the format asks for."""
    return {
        "format": "colearn-dataset/1",
        "modalities": json.dumps(MODALITIES),
        "task": "classification",
        "classes": json.dumps(CLASSES),
        "source": "UTD-MHAD, Chen, Jafari and Kehtarnavaz, ICIP 2015, "
        "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
        "licence": "called freely available by its authors, without a formal licence; cite the ICIP 2015 paper",
        "preparation": f"datasets/prepare_utd_mhad.py: subjects 1,3,5 train, 7 valid, 2,4,6,8 test; skeleton relative "
        f"to the first joint of the first frame; resampled linearly to {steps} steps; standardised per feature "
        "with the training subjects' mean and deviation",
    }


def write(path: Path, tensors: dict[str, np.ndarray], entries: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    Written by hand because the library's writer leaves the order of the metadata to a hash map: the same
    release should give the same bytes, and with them the same digest, everywhere.
    """
    # Larger numbers first, as the library orders them: every tensor then lies aligned.
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
    header: dict[str, object] = {"__metadata__": entries}
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
                file.write(np.ascontiguousarray(little).tobytes())
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a data set is read by other accounts' workers too.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        load_file(temporary)  # What the library can not read back must not replace a good file.
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def find(release: Path, given: Path | None, stem: str) -> Path:
    """The archive or folder of one modality: as given, or as found in the release's folder."""
    if given is not None:
        return given
    for candidate in (release / f"{stem}.zip", release / stem):
        if candidate.exists():
            return candidate
    raise PrepareError(
        f"neither {stem}.zip nor a folder {stem} in {release}; datasets/README.md says where to obtain UTD-MHAD"
    )


def summary(tensors: dict[str, np.ndarray], dropped: dict[str, list[str]]) -> str:
    """What a person wants to see at the end."""
    lines = []
    for split, subjects in SPLITS.items():
        shapes = ", ".join(f"{modality} {list(tensors[f'{split}/{modality}'].shape)}" for modality in MODALITIES)
        lines.append(f"{split}: subjects {', '.join(map(str, subjects))}; {shapes}")
    if not dropped:
        lines.append("nothing was dropped")
    for reason, names in sorted(dropped.items()):
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        lines.append(f"dropped {len(names)}: {reason}: {', '.join(names[:5])}{more}")
    return "\n".join(lines)


def steps_argument(text: str) -> int:
    """At least two time steps."""
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError("at least 2")
    return value


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "release", nargs="?", type=Path, default=Path("."),
        help="folder with Inertial.zip and Skeleton.zip, or with the folders Inertial and Skeleton (default: here)",
    )  # fmt: skip
    parser.add_argument("--inertial", type=Path, metavar="PATH", help="Inertial.zip or its folder, if elsewhere")
    parser.add_argument("--skeleton", type=Path, metavar="PATH", help="Skeleton.zip or its folder, if elsewhere")
    parser.add_argument("--steps", type=steps_argument, default=30, help="time steps a clip (default: 30)")
    parser.add_argument(
        "--out", type=Path, default=Path("data/utd-mhad.safetensors"), metavar="PATH",
        help="the file to write; replaced if it exists (default: data/utd-mhad.safetensors)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        inertial = find(options.release, options.inertial, "Inertial")
        skeleton = find(options.release, options.skeleton, "Skeleton")
        tensors, dropped = prepare(inertial, skeleton, options.steps)
        write(options.out, tensors, metadata(options.steps))
    except (PrepareError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(summary(tensors, dropped))
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
