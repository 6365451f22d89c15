#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "h5py>=3.10",
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
# ]
# ///
"""Convert CMU-MOSI, CMU-MOSEI or a set of the same form to a colearn data set for regression.

These sets are distributed in several forms; the first argument says which one you have:
  h5      a folder of HDF5 files as published with the Memory Fusion Network (MFN): X_train.h5, X_valid.h5,
          X_test.h5 with language | audio | video side by side, or a file for each modality (text_train*.h5,
          audio_train.h5, video_train.h5, ...); labels in y_train.h5, ...; each file holds one array
  pickle  mosi_data.pkl of the Multimodal Transformer (MulT), aligned_50.pkl of MMSA, or mosi_raw.pkl, humor.pkl and the
          like of MultiBench. Only arrays and plain containers are read; a pickle that needs anything else is refused
          and not run
  csd     computational sequences of the CMU Multimodal SDK: labels and words, and features to average over each
          word, without frames that are NaN or infinite; split by the published lists of videos

A time step is a word (in MMSA's files a token of BERT). Each sentence has --steps steps: shorter ones get zeros in
front, of longer ones the last words are kept, as in the MFN. In the two other forms, NaN and infinite values (COVAREP
has them) become 0. `prepare_mosi.py FORM --help` explains the options.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import clips
import colearn_data
from clips import Part
from colearn_data import SPLITS, PrepareError, Report

MODALITIES = ("language", "audio", "video")
SDK = "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK"
SOURCE = f"CMU-MOSI, Zadeh, Zellers, Pincus and Morency, IEEE Intelligent Systems 31(6), 2016, {SDK}"
MOSEI = f"CMU-MOSEI, Zadeh, Liang, Poria, Cambria and Morency, ACL 2018, {SDK}"
# The published lists of videos, and what they are the lists of.
FOLDS = {"mosi_folds.json": SOURCE, "mosei_folds.json": MOSEI}
LICENCE = "the publishers' terms for research; see the source"


def read_h5(options: argparse.Namespace) -> dict[str, Part]:
    """The splits that exist."""
    import h5py

    folder: Path = options.folder

    def read(path: Path) -> np.ndarray:
        try:
            with h5py.File(path) as file:
                arrays = [value for value in file.values() if isinstance(value, h5py.Dataset)]
                if len(arrays) != 1:
                    raise PrepareError(
                        f"{path} holds {len(arrays)} arrays, expected one (`data` or `d1`): {list(file)}"
                    )
                return np.asarray(arrays[0])
        except OSError as error:
            raise PrepareError(f"{path} is not a complete HDF5 file ({error}); download it again") from error

    def one(pattern: str) -> Path | None:
        paths = sorted(folder.glob(pattern))
        if len(paths) > 1:
            raise PrepareError(f"{folder} has {' and '.join(path.name for path in paths)}; keep the one to use there")
        return paths[0] if paths else None

    parts = {}
    for split in SPLITS:
        labels = one(f"y_{split}.h5")
        together = one(f"X_{split}.h5")
        apart = {
            "language": one(f"text_{split}*.h5"),
            "audio": one(f"audio_{split}*.h5"),
            "video": one(f"video_{split}*.h5"),
        }
        present = {modality: path for modality, path in apart.items() if path}
        if labels is None and together is None and not present:
            continue
        if labels is None:
            raise PrepareError(f"{folder} has features for {split} and no y_{split}.h5")
        if together is not None and present:
            raise PrepareError(
                f"{folder} has {together.name} and {next(iter(present.values())).name}; keep one form there"
            )
        if together is not None:
            array = read(together)
            if array.ndim != 3 or array.shape[2] != sum(options.widths):
                raise PrepareError(
                    f"{together} has shape {array.shape}, expected {sum(options.widths)} features a step; "
                    "say with --widths how many are language, audio and video"
                )
            features = dict(zip(MODALITIES, np.split(array, np.cumsum(options.widths)[:-1], axis=2), strict=True))
        elif present:
            features = {modality: read(path) for modality, path in present.items()}
        else:
            raise PrepareError(
                f"{folder} has y_{split}.h5 and neither X_{split}.h5 nor text_, audio_, video_{split}.h5"
            )
        parts[split] = clips.part(features, read(labels), f"{folder} ({split})")
    if not parts:
        raise PrepareError(f"{folder} has no X_train.h5, text_train*.h5 or the like; name the folder they lie in")
    return parts


def read_pickle(options: argparse.Namespace) -> dict[str, Part]:
    """The splits that exist."""
    import safe_pickle

    content = safe_pickle.load(options.file)
    if not isinstance(content, dict) or not any(isinstance(content.get(split), dict) for split in SPLITS):
        raise PrepareError(f"{options.file} is a pickle of another form; expected train, valid and test with text, ...")
    parts = {}
    for split in SPLITS:
        arrays = content.get(split)
        if not isinstance(arrays, dict):
            continue
        keys = {"language": "text", "audio": "audio", "video": "vision"}
        features = {modality: arrays[key] for modality, key in keys.items() if key in arrays}
        labels = arrays.get("regression_labels", arrays.get("labels"))
        if not features or labels is None:
            raise PrepareError(
                f"{options.file}: {split} has {', '.join(map(str, arrays))}; expected text, audio or vision, and "
                "regression_labels or labels"
            )
        text_bert = arrays.get("text_bert")
        if text_bert is None and "regression_labels" in arrays and options.padding == "auto":
            raise PrepareError(
                f"{options.file}: {split} is in the form of MMSA and has no text_bert, whose mask says which steps are "
                "padding; the text of padding is not zero there. Use MMSA's own aligned_50.pkl. If the padding of this "
                "file is zero in every modality, say --padding zeros"
            )
        if options.padding not in ("auto", "mask"):
            text_bert = None
        found = clips.part(features, labels, f"{options.file} ({split})", text_bert)
        parts[split] = clips.named(found, arrays.get("id"))
    return parts


def read_csd(options: argparse.Namespace, report: Report, notes: list[str]) -> dict[str, Part]:
    """The three splits."""
    import multimodal_sdk
    import word_vectors

    labels, words = multimodal_sdk.Sequence(options.labels), multimodal_sdk.Sequence(options.words)
    files = {"language": options.vectors, "audio": options.audio, "video": options.video}
    sequences = {name: multimodal_sdk.Sequence(path) for name, path in files.items() if path}
    columns = {"audio": options.audio_columns, "video": options.video_columns}
    segments = multimodal_sdk.segments(labels, words, report)
    videos = {segment.video for segment in segments}
    if options.folds == "random":
        folds = colearn_data.seeded_split(videos, options.seed)
    else:
        folds = listed_folds(videos, options)
        listed = {video for split in SPLITS for video in folds[split]}
        for video in sorted(videos - listed):
            report.drop("video stands in no split's list", video)
        for video in sorted(listed - videos):
            report.drop("listed video has no labelled segment", video)
    vectors = None
    if options.glove:
        vectors = word_vectors.read(options.glove, {text for segment in segments for text in segment.texts})
    parts = {}
    for split in SPLITS:
        chosen = [segment for segment in segments if segment.video in set(folds[split])]
        if not chosen:
            raise PrepareError(f"no labelled segment for the {split} split; are the files complete?")
        features = multimodal_sdk.aligned(chosen, sequences, columns, vectors, options.steps, report)
        words = np.array([len(segment.texts) for segment in chosen])
        mask = np.arange(options.steps) >= options.steps - words[:, None]
        found = clips.part(features, np.array([segment.label for segment in chosen]), split)
        ids, videos = ([getattr(segment, field) for segment in chosen] for field in ("name", "video"))
        parts[split] = found._replace(mask=mask, lengths=words, ids=np.array(ids), groups=np.array(videos))
    notes.extend(vectors.lines() if vectors else [])
    return parts


def listed_folds(videos: set[str], options: argparse.Namespace) -> dict[str, list[str]]:
    """The lists of the file that was given, or the published ones that name any of the videos."""
    here = Path(__file__).resolve().parent
    paths = [here / name for name in FOLDS] if options.folds == "published" else [Path(options.folds)]
    for path in paths:
        folds = colearn_data.published_split(path)
        if any(videos & set(folds[split]) for split in SPLITS):
            if options.source is None and options.folds == "published":
                options.source = FOLDS[path.name]
            return folds
    names = " and ".join(str(path) for path in paths)
    raise PrepareError(f"{names}: none of the videos is listed; give --folds FILE with their lists, or --folds random")


def as_classes(parts: dict[str, Part], classes: list[str] | None) -> dict[str, Part]:
    """The parts with labels of the type that the format wants: numbers to predict, or the indices of two classes."""
    if classes is None:
        return {split: found._replace(labels=found.labels.astype(np.float32)) for split, found in parts.items()}
    values = set(np.unique(np.concatenate([found.labels for found in parts.values()])).tolist())
    if values not in ({0, 1}, {-1, 1}):
        some = ", ".join(f"{value:g}" for value in sorted(values)[:5])
        raise PrepareError(f"--classes is for labels that are 0 and 1, or -1 and 1; there are {some}")
    return {split: found._replace(labels=(found.labels > 0).astype(np.int64)) for split, found in parts.items()}


def prepare(options: argparse.Namespace) -> list[str]:
    """Prepare the data set; return the summary."""
    report, notes = Report(), []
    if options.form == "csd":
        parts = read_csd(options, report, notes)
    else:
        parts = read_h5(options) if options.form == "h5" else read_pickle(options)
    modalities = tuple(name for name in MODALITIES if name in next(iter(parts.values())).features)
    for split, found in parts.items():
        if set(found.features) != set(modalities):
            raise PrepareError(f"{split} has {', '.join(found.features)}, another split {', '.join(modalities)}")
        finite = {name: colearn_data.make_finite(array, name, report) for name, array in found.features.items()}
        parts[split] = found._replace(features=finite)
    given = {"h5": "folder", "pickle": "file", "csd": "labels"}[options.form]
    path: Path = getattr(options, given)
    parts, decided = clips.fit(parts, options.steps, options.padding, str(path), report)
    if options.resplit:
        parts = clips.divide_anew(parts, options.seed)
    if missing := [split for split in SPLITS if split not in parts]:
        raise PrepareError(
            f"{path} has no {' and no '.join(missing)} split; "
            "for a set to try things out with, not to report on, --resplit divides all clips anew"
        )

    tensors: dict[str, np.ndarray] = {}
    real = {}
    low, high = options.label_range
    parts = as_classes(parts, options.classes)
    for split in SPLITS:
        labels = parts[split].labels
        if options.classes is None and not ((labels >= low) & (labels <= high)).all():
            raise PrepareError(
                f"labels of {split} go from {labels.min():g} to {labels.max():g}, expected {low:g} to {high:g}; "
                "if that is right, say so with --label-range"
            )
        for modality in modalities:
            tensors[f"{split}/{modality}"] = parts[split].features[modality]
        tensors[f"{split}/labels"] = labels
        real[split] = parts[split].mask
    if options.scale == "standard":
        for modality in [name for name in modalities if name != "language"]:
            colearn_data.standardise(tensors, modality, real)
    divided = (
        f"divided anew at random by clip, seed {options.seed}" if options.resplit else f"split {split_text(options)}"
    )
    scaled = "; audio and video standardised over the training words" if options.scale == "standard" else ""
    source = options.source or SOURCE
    invalid = "values left out of the means over words" if options.form == "csd" else "values 0"
    padded = "; padding by the mask of text_bert" if decided == "mask" and options.form == "pickle" else ""
    entries = colearn_data.metadata(
        modalities, options.classes, source, options.licence,
        f"datasets/prepare_mosi.py {options.form}: the last {options.steps} words, zeros in front{padded}; NaN and "
        f"infinite {invalid}{scaled}; {divided}",
    )  # fmt: skip
    if all(parts[split].ids is not None for split in SPLITS):
        groups = {split: parts[split].groups for split in SPLITS}
        grouped = all(names is not None for names in groups.values())
        entries |= colearn_data.sample_names({split: parts[split].ids for split in SPLITS}, groups if grouped else None)
    colearn_data.write(options.out, tensors, entries)
    splits = [f"{split}: {colearn_data.shapes(tensors, modalities, split)}" for split in SPLITS]
    recorded = [f"recorded as {source}; if it is another set, say which with --source and --licence"]
    return [*splits, *notes, *report.lines(), *(recorded if source in FOLDS.values() else [])]


def split_text(options: argparse.Namespace) -> str:
    """A description of the splits."""
    if options.form != "csd":
        return "as published with the features"
    if options.folds == "random":
        return f"at random by video, seed {options.seed}"
    return "by the published lists of videos" if options.folds == "published" else f"by {Path(options.folds).name}"


def numbers(text: str) -> list[int]:
    """Whole numbers separated by commas."""
    values = [int(value) for value in text.split(",")]
    if min(values) < 0:
        raise argparse.ArgumentTypeError("no negative numbers")
    return values


def widths(text: str) -> list[int]:
    """Numbers of features of language, audio and video."""
    values = numbers(text)
    if len(values) != 3 or 0 in values:
        raise argparse.ArgumentTypeError("three numbers from 1 on, as in 300,5,20")
    return values


def two_names(text: str) -> list[str]:
    """The names of two classes."""
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or "" in names or names[0] == names[1]:
        raise argparse.ArgumentTypeError("two names, as in serious,humorous")
    return names


def arguments_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    forms = parser.add_subparsers(dest="form", required=True, metavar="FORM")
    h5 = forms.add_parser("h5", help="a folder of HDF5 files, as published with the MFN")
    h5.add_argument("folder", type=Path, help="with X_train.h5, y_train.h5, ... or text_train*.h5, audio_train.h5, ...")
    h5.add_argument(
        "--widths", type=widths, default=[300, 5, 20], metavar="L,A,V",
        help="features of language, audio and video in X_*.h5 (default: 300,5,20)",
    )  # fmt: skip
    pickle = forms.add_parser("pickle", help="mosi_data.pkl (MulT), aligned_50.pkl (MMSA), or a pickle of MultiBench")
    pickle.add_argument("file", type=Path)
    csd = forms.add_parser("csd", help="computational sequences of the CMU Multimodal SDK")
    csd.add_argument("--labels", type=Path, required=True, metavar="FILE", help="CMU_MOSI_Opinion_Labels.csd")
    csd.add_argument("--words", type=Path, required=True, metavar="FILE", help="CMU_MOSI_TimestampedWords.csd")
    language = csd.add_mutually_exclusive_group(required=True)
    language.add_argument("--glove", type=Path, metavar="FILE", help="glove.840B.300d.txt, or its zip archive")
    language.add_argument("--vectors", type=Path, metavar="FILE", help="word vectors as a .csd file, instead of --glove")
    for modality, example in (("audio", "CMU_MOSI_COVAREP.csd"), ("video", "CMU_MOSI_VisualFacet_4.1.csd")):
        csd.add_argument(f"--{modality}", type=Path, metavar="FILE", help=f"such as {example} (default: no {modality})")
        csd.add_argument(
            f"--{modality}-columns", type=numbers, metavar="N,N,...",
            help="use these columns only, counted from 0 (default: all)",
        )  # fmt: skip
    csd.add_argument(
        "--folds", default="published", metavar="published|random|FILE",
        help="the published lists of the videos of MOSI or MOSEI; a random split by video; or a JSON file "
        '{"train": [videos], "valid": [...], "test": [...]} (default: published)',
    )  # fmt: skip
    h5.add_argument(
        "--padding", choices=("auto", "front", "end"), default="auto",
        help="where the features are padded; auto: at the end if more than a tenth of all steps is zero there",
    )  # fmt: skip
    pickle.add_argument(
        "--padding", choices=("auto", "mask", "zeros", "front", "end"), default="auto",
        help="where the features are padded; mask: in the steps that the attention mask in text_bert leaves out; "
        "zeros: at the end if more than a tenth of all steps is zero there, else in front; auto: mask if there is a "
        "text_bert, else zeros, except in MMSA's form, where zeros do not tell padding",
    )  # fmt: skip
    pickle.add_argument(
        "--classes", type=two_names, metavar="NAME,NAME",
        help="the labels are classes: the names of 0 (or -1) and of 1, such as serious,humorous",
    )  # fmt: skip
    for form in (h5, pickle):
        form.add_argument("--resplit", action="store_true", help="divide all clips anew at random, 6 : 1 : 1")
    # Aligned words are padded by this script, and videos must not be divided.
    csd.set_defaults(padding="mask", resplit=False)
    for form in (h5, csd):
        form.set_defaults(classes=None)
    for form in (h5, pickle, csd):
        form.add_argument("--steps", type=colearn_data.at_least(1), default=20, help="words per sentence (default: 20)")
        form.add_argument(
            "--scale", choices=("raw", "standard"), default="raw",
            help="standard: audio and video get mean 0 and deviation 1 over the training words (default: raw)",
        )  # fmt: skip
        form.add_argument(
            "--label-range", type=float, nargs=2, default=(-3.0, 3.0), metavar=("LOW", "HIGH"),
            help="range of the labels (default: -3 3)",
        )  # fmt: skip
        form.add_argument("--seed", type=int, default=0, help="seed of a random split (default: 0)")
        form.add_argument("--source", metavar="TEXT", help="recorded in the file (default: CMU-MOSI)")
        form.add_argument("--licence", default=LICENCE, metavar="TEXT", help="recorded in the file")
        colearn_data.add_out(form, "data/mosi.safetensors")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = arguments_parser().parse_args(arguments)
    return colearn_data.finish(lambda: prepare(options), options.out)


if __name__ == "__main__":
    sys.exit(main())
