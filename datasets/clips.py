"""Clips of word-aligned features: checks, and padding that is moved to the front.

A module to import, not a script. Most files pad with zeros. In files with BERT's embeddings as the text, such as
MMSA's, the text of a padded step is not zero: there the attention mask says which steps are padding.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

import colearn_data
from colearn_data import PrepareError, Report

# The share of the clips that may contradict what is known about the padding before a file is refused.
TOLERATED = 0.05


class Part(NamedTuple):
    """The clips of one split."""

    features: dict[str, np.ndarray]  # by modality [clips, steps, features]
    labels: np.ndarray  # [clips]
    # [clips, steps]: the steps that are no padding. In a part that was read, only if the file says so.
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None  # [clips]: the words of a clip, where some were cut off already
    ids: np.ndarray | None = None  # [clips]: their names, where the file has any
    groups: np.ndarray | None = None  # [clips]: the videos that they are from


def part(features: dict[str, np.ndarray], labels: np.ndarray, where: str, text_bert: object = None) -> Part:
    """Check the arrays of a file; PrepareError names an invalid one."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "fiu" or labels.ndim == 0 or labels.size != len(labels):
        raise PrepareError(
            f"{where}: the labels are {labels.dtype} of shape {labels.shape}, expected one number a clip"
        )
    for modality, array in features.items():
        if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "fiu":
            shape = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise PrepareError(f"{where}: {modality} is {shape}, expected numbers (clips, steps, features)")
        if len(array) != len(labels):
            raise PrepareError(f"{where}: {len(array)} clips have {modality}, {len(labels)} have a label")
    steps = {modality: array.shape[1] for modality, array in features.items()}
    if len(set(steps.values())) != 1:
        raise PrepareError(f"{where}: numbers of steps differ ({steps}); use the file with aligned features")
    mask = None if text_bert is None else token_mask(text_bert, len(labels), next(iter(steps.values())), where)
    return Part(features, labels.reshape(len(labels)), mask)


def named(found: Part, given: object) -> Part:
    """The part with the ids of a file, and the videos in them: MMSA writes `video$_$clip`, others `video[clip]`, and
    MulT and MultiBench (video, start, end). Ids of another form name the clips without groups; a list that does not
    name each clip once is no list of ids.
    """
    try:
        rows = [words(row) for row in given]  # type: ignore[attr-defined]
    except TypeError:
        return found
    ids = ["-".join(row) for row in rows]
    if len(ids) != len(found.labels) or "" in ids or len(set(ids)) != len(ids):
        return found
    videos = [row[0] if len(row) > 1 else video_of(row[0]) for row in rows]
    groups = None if None in videos else np.array(videos)
    return found._replace(ids=np.array(ids), groups=groups)


def words(given: object) -> list[str]:
    """The texts in an id, which is a text, a number, or a list of these."""
    if isinstance(given, bytes):
        return [given.decode("utf-8", "replace")]
    if isinstance(given, list | tuple | np.ndarray) and np.ndim(given):
        return [word for part in given for word in words(part)]
    return [str(given)]


def video_of(name: str) -> str | None:
    """The video in the id of a clip; None if it has another form."""
    video, separator, _ = name.partition("$_$")
    if separator:
        return video
    match = re.fullmatch(r"(.+)\[\d+\]", name)
    return match[1] if match else None


def token_mask(text_bert: object, clips: int, steps: int, where: str) -> np.ndarray:
    """The attention mask [clips, steps] of text_bert, which is (clips, 3, steps): token ids, mask, segment ids."""
    array = np.asarray(text_bert)
    if array.shape != (clips, 3, steps) or array.dtype.kind not in "fiub":
        raise PrepareError(
            f"{where}: text_bert is {array.dtype} of shape {array.shape}, expected {(clips, 3, steps)}: token ids, "
            "attention mask and segment ids of the same steps as the features"
        )
    mask = array[:, 1]
    if not np.isin(mask, (0, 1)).all():
        raise PrepareError(f"{where}: row 1 of text_bert is no attention mask: it holds other numbers than 0 and 1")
    mask = mask.astype(bool)
    # One change at most: the tokens are at the beginning or at the end.
    broken = np.flatnonzero(~mask.any(axis=1) | (np.diff(mask, axis=1).sum(axis=1) > 1))
    if len(broken):
        raise PrepareError(
            f"{where}: the mask of text_bert has no tokens, or gaps between them, in {len(broken)} clip(s), "
            f"the first is clip {broken[0]}"
        )
    return mask


def empty_steps(features: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Number of all-zero steps at the beginning and at the end of each clip; 0 for an empty clip."""
    said = np.any([np.any(array != 0, axis=2) for array in features.values()], axis=0)
    return edges(said)


def edges(said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of steps before the first and after the last that is set in [clips, steps]; 0 where none is."""
    some = said.any(axis=1)
    return np.where(some, said.argmax(axis=1), 0), np.where(some, said[:, ::-1].argmax(axis=1), 0)


def padded_at_end(parts: dict[str, Part]) -> bool:
    """Whether the features as a whole are padded at the end.

    This is not decided for each clip: a sentence that ends in a pause has an empty last step too (a fortieth of all
    steps in ICT-MMMO as published with the MFN), which must stay at the end.
    """
    counts = [empty_steps(part.features) for part in parts.values()]
    leading, trailing = (sum(int(count[which].sum()) for count in counts) for which in (0, 1))
    steps = sum(
        array.shape[0] * array.shape[1] for part in parts.values() for array in list(part.features.values())[:1]
    )
    return trailing > leading and trailing > 0.1 * steps


def decide(parts: dict[str, Part], padding: str, where: str) -> str:
    """Where the padding is, `mask`, `front` or `end`, from the option: one of these, `zeros` or `auto`."""
    masked = all(part.mask is not None for part in parts.values())
    if padding == "mask" and not masked:
        raise PrepareError(f"{where} has no text_bert, whose mask would say where the padding is")
    if padding == "auto" and masked:
        return "mask"
    if padding in ("auto", "zeros"):
        return "end" if padded_at_end(parts) else "front"
    return padding


def fit(parts: dict[str, Part], steps: int, padding: str, where: str, report: Report) -> tuple[dict[str, Part], str]:
    """The last `steps` steps of each clip with padding in front, and where the padding was found (see `decide`).

    `padding` is the option. What a clip loses is reported, and refused if it happens to many clips, unless the option
    says where the padding is.
    """
    decided = decide(parts, padding, where)
    strict = padding in ("auto", "mask")
    for modality in next(iter(parts.values())).features:
        if not any((found.features[modality] != 0).any() for found in parts.values()):
            raise PrepareError(f"{where}: {modality} is zero in every clip; is the file complete?")
    made, lengths = {}, []
    for split, found in parts.items():
        if decided == "mask":
            found = masked_only(found, f"{where} ({split})", report)
        fitted, length = last_steps(found, steps, decided, report)
        check_modalities(found, fitted, f"{where} ({split})", strict, report)
        made[split] = fitted
        lengths.append(length)
    report.note(*length_lines(np.concatenate(lengths), steps))
    return made, decided


def masked_only(found: Part, where: str, report: Report) -> Part:
    """The part with zeros outside its mask; refused if the mask is not that of audio and video."""
    outside = ~found.mask
    beyond = np.zeros(len(found.labels), dtype=bool)
    for modality, array in found.features.items():
        if modality != "language":  # BERT embeds padding, too.
            beyond |= ((array != 0).any(axis=2) & outside).any(axis=1)
    if beyond.mean() > TOLERATED:
        raise PrepareError(
            f"{where}: {int(beyond.sum())} of {len(beyond)} clips have audio or video in steps that are padding by the "
            "mask of text_bert: the features are not those of its tokens. Look at the file; --padding zeros, front or "
            "end take the features without the mask"
        )
    report.count("clips with audio or video in steps that are padding, which became 0", int(beyond.sum()))
    features = {name: np.where(outside[:, :, None], 0, array) for name, array in found.features.items()}
    return found._replace(features=features)


def last_steps(found: Part, steps: int, decided: str, report: Report) -> tuple[Part, np.ndarray]:
    """The last `steps` steps of each clip, and how many steps it had without padding."""
    width = next(iter(found.features.values())).shape[1]
    leading, trailing = edges(found.mask) if decided == "mask" else empty_steps(found.features)
    moves = np.zeros_like(trailing) if decided == "front" else trailing
    if found.lengths is not None:
        lengths = found.lengths
    elif decided == "mask":
        lengths = found.mask.sum(axis=1)
    else:
        empty = ~np.any([array.any(axis=(1, 2)) for array in found.features.values()], axis=0)
        lengths = np.where(empty, 0, width - (leading if decided == "front" else trailing))
    report.count("clips padded at the end, whose padding was moved to the front", int((moves > 0).sum()))
    places = (np.arange(width) - moves[:, None]) % width
    made = {}
    for modality, array in found.features.items():
        moved = np.take_along_axis(array, places[:, :, None], axis=1)[:, -steps:].astype(np.float32)
        made[modality] = np.pad(moved, ((0, 0), (steps - moved.shape[1], 0), (0, 0)))
    if decided == "mask":
        kept = np.minimum(lengths, steps)
        mask = np.arange(steps) >= steps - kept[:, None]
    else:
        mask = np.any([np.any(array != 0, axis=2) for array in made.values()], axis=0)
    return Part(made, found.labels, mask, ids=found.ids, groups=found.groups), lengths


def check_modalities(found: Part, fitted: Part, where: str, strict: bool, report: Report) -> None:
    """Report clips without a modality, and clips that lose one; refuse where these are too many."""
    for modality, array in found.features.items():
        had = (array != 0).any(axis=(1, 2))
        has = (fitted.features[modality] != 0).any(axis=(1, 2))
        report.count(f"clips without {modality}: zeros in every step", int((~had).sum()))
        lost = had & ~has
        if strict and lost.mean() > TOLERATED:
            raise PrepareError(
                f"{where}: {int(lost.sum())} of {len(lost)} clips would lose all of their {modality}, because the last "
                f"{fitted.mask.shape[1]} steps have none: padding is taken for words. Say where the padding is with "
                "--padding, or keep more steps with --steps"
            )
        report.count(f"clips whose {modality} is only in steps that were cut off: zeros now", int(lost.sum()))


def length_lines(lengths: np.ndarray, steps: int) -> list[str]:
    """How many clips have what length, for the summary."""
    top = max(int(lengths.max()), 1)
    width = max(1, -(-top // 10))
    bins = [(0, 0)] + [(low, min(low + width - 1, top)) for low in range(1, top + 1, width)]
    counts = [int(((lengths >= low) & (lengths <= high)).sum()) for low, high in bins]
    spread = ", ".join(
        f"{low}-{high}: {count}" if low < high else f"{low}: {count}"
        for (low, high), count in zip(bins, counts, strict=True)
        if count
    )
    line = f"steps of the {len(lengths)} clips: {int(lengths.min())} to {top}, median {np.median(lengths):g} ({spread})"
    longer = int((lengths > steps).sum())
    return [line, f"{longer} clips are longer than {steps}: their last {steps} steps are kept"] if longer else [line]


def divide_anew(parts: dict[str, Part], seed: int) -> dict[str, Part]:
    """All clips of all parts, divided at random."""
    present = list(parts.values())
    features = {name: np.concatenate([part.features[name] for part in present]) for name in present[0].features}
    labels = np.concatenate([part.labels for part in present])
    mask = np.concatenate([part.mask for part in present])
    split = colearn_data.seeded_split((f"{index:08d}" for index in range(len(labels))), seed)
    places = {name: np.array([int(index) for index in members], dtype=np.int64) for name, members in split.items()}

    def names(field: str) -> np.ndarray | None:
        own = [getattr(part, field) for part in present]
        return None if any(names is None for names in own) else np.concatenate(own)

    ids, groups = names("ids"), names("groups")
    return {
        name: Part(
            {modality: array[at] for modality, array in features.items()},
            labels[at],
            mask[at],
            ids=None if ids is None else ids[at],
            groups=None if groups is None else groups[at],
        )
        for name, at in places.items()
    }
