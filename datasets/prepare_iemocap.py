#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "librosa>=0.10.2",
#     "numpy>=1.26",
#     "safetensors>=0.4.5",
#     "scipy>=1.11",
# ]
# ///
"""Convert IEMOCAP's full release to a colearn data set of word-aligned sentences.

IEMOCAP (Busso et al., Language Resources and Evaluation 42, 2008) is licensed by USC. This script reads, below
the release's folder, for each Session1 to Session5:
  dialog/EmoEvaluation/DIALOG.txt                      the label and the times of each utterance
  dialog/transcriptions/DIALOG.txt                     the spoken words (only to check the alignment)
  sentences/ForcedAlignment/DIALOG/UTTERANCE.wdseg     the times of each word
  sentences/wav/DIALOG/UTTERANCE.wav                   the recording
and GloVe's 300-dimensional vectors. It writes one safetensors file. Nine classes: neu fru ang sad exc hap sur fea
dis; xxx (no agreement) and oth are dropped. A time step is a word:
  language  300: the word's GloVe vector; zeros for a word that has none
  audio      80: 40 MFCC and 40 log mel bands, averaged over the word's frames (25 ms windows, 100 a second)
  video       D: with --visual, the numeric columns of the user's own per-frame CSV files, averaged over the word
Sentences of --steps words or more are dropped; shorter ones have zeros in front.

The CSV files are what face and pose extractors such as OpenFace write: named UTTERANCE.csv (times count from the
utterance's start) or DIALOG.csv (times count from the dialog's start), with a column `timestamp` in seconds. All
files must have the same columns. Frames whose `success` is 0 are not used.

Splits: at random by utterance, 6 : 1 : 1 (6877 utterances become 5157, 860, 860), as in the paper. A speaker is then
in several splits. --split session separates speakers: session 5 is for test, 4 for validation, 1 to 3 for training.
--folds writes a file for each fold of a cross-validation instead, in which no speaker is in two splits: `session`
leaves one of the five sessions out for test, and the next one for validation; `speaker` leaves one of the ten speakers
out for test, the other one of the session for validation, and trains on the four other sessions.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import colearn_data
import frame_features
import word_vectors
from colearn_data import SPLITS, PrepareError, Progress, Report

CLASSES = ("neu", "fru", "ang", "sad", "exc", "hap", "sur", "fea", "dis")
IGNORED_CLASSES = ("xxx", "oth")
# Ses03M_impro03_M001 has no usable alignment; the paper's authors leave out both.
LEFT_OUT = ("Ses03M_impro03_M001", "Ses03M_impro03_M030")
FRAMES_A_SECOND = 100
SAMPLE_RATE = 16_000
AUDIO_FEATURES = 80

EVALUATION = re.compile(r"\[(\d+\.?\d*) - (\d+\.?\d*)\]\t(Ses0(\d)\S+)\t(\w+)\t\[")
TRANSCRIPT = re.compile(r"(Ses0\d\S+) \[\d+\.?\d*-\d+\.?\d*\]:\s*(.*)")
NOT_A_WORD = re.compile(r"<.*>|\+\+.*\+\+")


class Utterance(NamedTuple):
    """One labelled turn of a dialog."""

    name: str
    session: int
    label: str
    start: float  # Seconds from the dialog's start.

    @property
    def dialog(self) -> str:
        return self.name.rpartition("_")[0]

    @property
    def speaker(self) -> str:
        """The session and F or M: each session has two speakers, and the last part of a name says whose turn it is."""
        return f"{self.session}{self.name.rpartition('_')[2][:1]}"


class Word(NamedTuple):
    """A spoken word; frames of 10 ms from the utterance's start, `last` included."""

    text: str
    first: int
    last: int


def lines_of(path: Path) -> list[str]:
    """A text file of the release; the `._` files that macOS left in the archive are not text."""
    return path.read_bytes().decode("utf-8", errors="replace").splitlines()


def sessions(release: Path) -> Iterator[Path]:
    """The five session folders."""
    for number in range(1, 6):
        folder = release / f"Session{number}"
        if not folder.is_dir():
            raise PrepareError(
                f"{release} has no folder {folder.name}; name IEMOCAP_full_release, with Session1 to Session5"
            )
        yield folder


def read_utterances(release: Path, report: Report) -> list[Utterance]:
    """Every utterance with one of the nine labels, in the release's order."""
    found: dict[str, Utterance] = {}
    for session in sessions(release):
        evaluations = sorted((session / "dialog" / "EmoEvaluation").glob("*.txt"))
        if not evaluations:
            raise PrepareError(f"{session / 'dialog' / 'EmoEvaluation'} has no *.txt; is the release complete?")
        for path in evaluations:
            for line in lines_of(path):
                match = EVALUATION.match(line)  # Lines of single raters (C-, A-) begin differently.
                if match is None:
                    continue
                start, _, name, number, label = match.groups()
                if name in found:
                    raise PrepareError(f"{path} labels {name} a second time; unpack the release into an empty folder")
                if name in LEFT_OUT:
                    report.drop("left out by the paper's authors (no usable alignment)", name)
                elif label in IGNORED_CLASSES:
                    report.drop(f"labelled {label}", name)
                elif label not in CLASSES:
                    raise PrepareError(f"{path} labels {name} {label!r}, which is none of the release's labels")
                else:
                    found[name] = Utterance(name, int(number), label, float(start))
    if not found:
        raise PrepareError(f"{release}: no labels in Session*/dialog/EmoEvaluation/*.txt; is this IEMOCAP?")
    return list(found.values())


def read_transcripts(release: Path) -> dict[str, str]:
    """The spoken words of each utterance."""
    transcripts = {}
    for session in sessions(release):
        for path in sorted((session / "dialog" / "transcriptions").glob("*.txt")):
            for line in lines_of(path):
                if match := TRANSCRIPT.match(line):
                    transcripts[match[1]] = match[2]
    return transcripts


def read_alignment(path: Path) -> list[Word]:
    """The words of a .wdseg file; PrepareError names a line of another form."""
    words = []
    for number, line in enumerate(lines_of(path), start=1):
        fields = line.split()
        if not fields or fields[:2] == ["SFrm", "EFrm"] or fields[:2] == ["Total", "score:"]:
            continue
        try:
            first, last, _, text = int(fields[0]), int(fields[1]), int(fields[2]), fields[3]
        except (ValueError, IndexError) as error:
            raise PrepareError(f"{path} line {number} is not `first last score word`: {line.strip()!r}") from error
        text = re.sub(r"\(\d+\)$", "", text)  # (2): the second pronunciation.
        if NOT_A_WORD.fullmatch(text):
            continue
        if not 0 <= first <= last:
            raise PrepareError(f"{path} line {number}: frames {first} to {last} are no interval")
        words.append(Word(text, first, last))
    return words


def read_audio(path: Path) -> np.ndarray:
    """A recording at 16 kHz as one channel of floats within [-1, 1]."""
    import scipy.io.wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scipy.io.wavfile.WavFileWarning)  # Chunks without sound.
            rate, samples = scipy.io.wavfile.read(path)
    except ValueError as error:
        raise PrepareError(f"{path} is not a readable wav file ({error}); unpack it again") from error
    if rate != SAMPLE_RATE:
        raise PrepareError(f"{path} has {rate} samples a second, expected the release's {SAMPLE_RATE}")
    if samples.dtype != np.int16:
        raise PrepareError(f"{path} holds {samples.dtype} samples, expected the release's int16")
    samples = samples.astype(np.float32) / 32768.0
    return samples.mean(axis=1) if samples.ndim == 2 else samples


def audio_frames(samples: np.ndarray) -> np.ndarray:
    """[frames, 80]: MFCC 0 to 39 and 40 log mel bands, 100 frames a second, frame i centred at i x 10 ms."""
    import librosa

    def log_mel(bands: int) -> np.ndarray:
        power = librosa.feature.melspectrogram(
            y=samples,
            sr=SAMPLE_RATE,
            n_fft=512,
            win_length=400,
            hop_length=SAMPLE_RATE // FRAMES_A_SECOND,
            n_mels=bands,
        )
        # Decibels relative to full scale, not to the utterance, so that loudness is kept.
        return librosa.power_to_db(power, ref=1.0, top_db=None)

    # From more bands than there are coefficients: 40 coefficients of 40 bands would only be a rotation.
    mfcc = librosa.feature.mfcc(S=log_mel(64), n_mfcc=40)
    return np.concatenate([mfcc, log_mel(40)]).T


def over_words(frames: np.ndarray, words: list[Word]) -> np.ndarray | None:
    """[words, features]: the mean over each word's frames; None if a word lies beyond the recording."""
    if any(word.first >= len(frames) for word in words):
        return None
    return np.stack([frames[word.first : word.last + 1].mean(axis=0) for word in words])


def spoken(transcript: str) -> list[str]:
    """The words of a transcript, in a form to compare with the words of an alignment."""
    plain = re.sub(r"\[[^]]*\]", " ", transcript).lower()
    return [word for token in re.split(r"[\s-]+", plain) if (word := re.sub(r"[^a-z0-9]", "", token))]


def align(release: Path, utterances: list[Utterance], steps: int, report: Report) -> dict[str, list[Word]]:
    """The words of every usable utterance."""
    transcripts = read_transcripts(release)
    aligned = {}
    for utterance in utterances:
        folder = release / f"Session{utterance.session}" / "sentences" / "ForcedAlignment" / utterance.dialog
        path = folder / f"{utterance.name}.wdseg"
        if not path.is_file():
            report.drop("has no word alignment (.wdseg)", utterance.name)
            continue
        words = read_alignment(path)
        if not words:
            report.drop("its alignment holds no word", utterance.name)
        elif len(words) >= steps:
            report.drop(f"has {steps} words or more", utterance.name)
        else:
            aligned[utterance.name] = words
            if utterance.name not in transcripts:
                report.count("utterances without a transcript")
            elif spoken(transcripts[utterance.name]) != spoken(" ".join(word.text for word in words)):
                report.count("utterances whose aligned words differ from the transcript (the aligned ones are used)")
    if not aligned:
        raise PrepareError(f"{release}: no labelled utterance has a usable .wdseg in sentences/ForcedAlignment")
    return aligned


def features(
    release: Path,
    utterances: list[Utterance],
    aligned: dict[str, list[Word]],
    glove: Path,
    visual: Path | None,
    report: Report,
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """[words, features] by modality and utterance, and notes about the vectors and columns."""
    vectors = word_vectors.read(glove, {word.text for words in aligned.values() for word in words})
    found: dict[str, dict[str, np.ndarray]] = {"language": {}, "audio": {}}
    video = None
    if visual is not None:
        found["video"] = {}
        video = frame_features.FrameFeatures(visual, report)
    chosen = [utterance for utterance in utterances if utterance.name in aligned]
    with Progress("reading recordings", len(chosen)) as progress:
        for utterance in chosen:
            progress.step()
            words = aligned[utterance.name]
            folder = release / f"Session{utterance.session}" / "sentences" / "wav" / utterance.dialog
            path = folder / f"{utterance.name}.wav"
            if not path.is_file():
                report.drop("has no recording (.wav)", utterance.name)
                continue
            audio = over_words(audio_frames(read_audio(path)), words)
            if audio is None:
                report.drop("its alignment goes on after the recording ends", utterance.name)
                continue
            if video is not None:
                times = [(word.first / FRAMES_A_SECOND, (word.last + 1) / FRAMES_A_SECOND) for word in words]
                seen = video.over_words(utterance.name, utterance.dialog, utterance.start, times)
                if seen is None:
                    report.drop("has no CSV file of visual features", utterance.name)
                    continue
                found["video"][utterance.name] = seen.astype(np.float32)
            found["audio"][utterance.name] = audio.astype(np.float32)
            found["language"][utterance.name] = np.stack([vectors[word.text] for word in words])
    return found, vectors.lines() + ([] if video is None else video.lines())


class Division(NamedTuple):
    """The names of the utterances of each split, and a description."""

    members: dict[str, list[str]]
    text: str


def grouped(utterances: list[Utterance], split_of: Callable[[Utterance], str]) -> dict[str, list[str]]:
    """The names of each split."""
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    for utterance in utterances:
        members[split_of(utterance)].append(utterance.name)
    return members


def divide(utterances: list[Utterance], by: str, seed: int) -> Division:
    """One division, at random or by session."""
    if by == "random":
        members = colearn_data.seeded_split((utterance.name for utterance in utterances), seed)
        return Division(members, f"at random by utterance, seed {seed}")
    of_session = {1: "train", 2: "train", 3: "train", 4: "valid", 5: "test"}
    return Division(grouped(utterances, lambda it: of_session[it.session]), "by session, 5 test, 4 valid")


def folds(utterances: list[Utterance], by: str) -> list[Division]:
    """A division for each session, or for each speaker, who is then in its test split."""
    made = []
    if by == "session":
        for session in range(1, 6):
            held_out = {session: "test", session % 5 + 1: "valid"}
            members = grouped(utterances, lambda it, held_out=held_out: held_out.get(it.session, "train"))
            made.append(Division(members, f"session {session} test, {session % 5 + 1} valid, the others train"))
        return made
    for utterance in utterances:
        if utterance.speaker[1:] not in ("F", "M"):
            raise PrepareError(f"{utterance.name}: its last part should begin with F or M, for the speaker")
    for session in range(1, 6):
        for test, valid in (("F", "M"), ("M", "F")):
            held_out = {f"{session}{test}": "test", f"{session}{valid}": "valid"}
            members = grouped(utterances, lambda it, held_out=held_out: held_out.get(it.speaker, "train"))
            text = f"speaker {test} of session {session} test, {valid} valid, the other sessions train"
            made.append(Division(members, text))
    return made


def tensors_of(
    division: Division, found: dict[str, dict[str, np.ndarray]], label: dict[str, int], steps: int, scale: str
) -> dict[str, np.ndarray]:
    """The tensors of a data set by name."""
    tensors: dict[str, np.ndarray] = {}
    real = {}
    for split in SPLITS:
        names = division.members[split]
        for modality, rows in found.items():
            tensors[f"{split}/{modality}"] = np.stack([colearn_data.pad_front(rows[name], steps) for name in names])
        tensors[f"{split}/labels"] = np.array([label[name] for name in names], dtype=np.int64)
        words = np.array([len(found["language"][name]) for name in names])
        real[split] = np.arange(steps) >= steps - words[:, None]
    if scale == "standard":
        for modality in list(found)[1:]:
            colearn_data.standardise(tensors, modality, real)
    return tensors


def prepare(options, outs: list[Path]) -> list[str]:
    """Prepare the data set, or those of all folds; return the summary."""
    report = Report()
    utterances = read_utterances(options.release, report)
    aligned = align(options.release, utterances, options.steps, report)
    found, notes = features(options.release, utterances, aligned, options.glove, options.visual, report)
    utterances = [utterance for utterance in utterances if utterance.name in found["language"]]
    label = {utterance.name: CLASSES.index(utterance.label) for utterance in utterances}
    speaker = {utterance.name: f"Ses0{utterance.speaker}" for utterance in utterances}
    if options.folds is None:
        divisions = [divide(utterances, options.split, options.seed)]
    else:
        divisions = folds(utterances, options.folds)
    for division in divisions:  # Before the first file is written.
        if empty := [split for split in SPLITS if not division.members[split]]:
            raise PrepareError(
                f"no usable utterance for the {empty[0]} split ({division.text}); is the release complete?"
            )

    scaled = "standardised per feature over the training words" if options.scale == "standard" else "unscaled"
    lines = []
    for fold, (out, division) in enumerate(zip(outs, divisions, strict=True)):
        tensors = tensors_of(division, found, label, options.steps, options.scale)
        preparation = (
            f"datasets/prepare_iemocap.py: one step a word of the release's forced alignment, sentences under "
            f"{options.steps} words, zeros in front; language {options.glove.name}; audio 40 MFCC and 40 log mel "
            f"bands, {'and video, ' if options.visual else ''}averaged over the word, {scaled}; split {division.text}"
        )
        entries = colearn_data.metadata(
            list(found),
            CLASSES,
            source="IEMOCAP, Busso et al., Language Resources and Evaluation 42, 2008, https://sail.usc.edu/iemocap/",
            licence="under a licence from USC, for research; not to be passed on",
            preparation=preparation,
        )
        groups = {split: [speaker[name] for name in names] for split, names in division.members.items()}
        entries |= colearn_data.sample_names(division.members, groups)
        colearn_data.write(out, tensors, entries)
        before = "" if options.folds is None else f"fold {fold}, "
        lines += [f"{before}{split}: {colearn_data.shapes(tensors, list(found), split)}" for split in SPLITS]
        if options.folds is not None:
            lines.append(f"fold {fold}: {division.text}")
    counts = np.bincount([label[utterance.name] for utterance in utterances], minlength=len(CLASSES))
    classes = ", ".join(f"{name} {number}" for name, number in zip(CLASSES, counts, strict=True))
    return [*lines, f"classes: {classes}", *notes, *report.lines()]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = colearn_data.parser(__doc__, "data/iemocap.safetensors")
    parser.add_argument("release", type=Path, help="the folder IEMOCAP_full_release, with Session1 to Session5")
    parser.add_argument(
        "--glove", type=Path, required=True, metavar="FILE", help="glove.840B.300d.txt, or its zip archive"
    )
    parser.add_argument(
        "--visual", type=Path, metavar="FOLDER", help="CSV files with visual features (default: no video)"
    )
    parser.add_argument(
        "--steps", type=colearn_data.at_least(2), default=30, help="time steps per sentence (default: 30)"
    )
    parser.add_argument(
        "--split", choices=("random", "session"), help="a single file (default: random, as in the paper)"
    )
    parser.add_argument(
        "--folds", choices=("session", "speaker"),
        help="write a file for each fold of a cross-validation, -fold0 and so on: leave one session out (5 files), or "
        "one speaker (10 files)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of the random split (default: 0)")
    parser.add_argument(
        "--scale", choices=("standard", "raw"), default="standard",
        help="audio and video: mean 0 and deviation 1 over the training words, or as computed (default: standard)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.folds and options.split:
        parser.error("--folds and --split exclude each other")
    options.split = options.split or "random"
    count = {None: 0, "session": 5, "speaker": 10}[options.folds]
    outs = colearn_data.fold_paths(options.out, count) if count else [options.out]
    return colearn_data.finish(lambda: prepare(options, outs), *outs)


if __name__ == "__main__":
    sys.exit(main())
