"""Word vectors from a text file in GloVe's format: a word and its numbers on each line.

A module to import, not a script.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from colearn_data import PrepareError, Progress

DIMENSIONS = 300


def spellings(word: str) -> tuple[str, ...]:
    """The spellings to look a word up by, best first: many releases write words in capitals only."""
    return tuple(dict.fromkeys((word.lower(), word, word.capitalize(), word.upper())))


class WordVectors:
    """The vectors of the requested words; a word without a vector has zeros."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors
        self.unknown: dict[str, int] = {}

    def __getitem__(self, word: str) -> np.ndarray:
        for spelling in spellings(word):
            if spelling in self.vectors:
                return self.vectors[spelling]
        self.unknown[word] = self.unknown.get(word, 0) + 1
        return np.zeros(DIMENSIONS, dtype=np.float32)

    def lines(self) -> list[str]:
        """The words without a vector, for the summary."""
        if not self.unknown:
            return ["every word has a vector"]
        often = sorted(self.unknown, key=lambda word: (-self.unknown[word], word))
        total = sum(self.unknown.values())
        return [f"{len(often)} words ({total} occurrences) have no vector and are zeros: {', '.join(often[:8])}"]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The text file itself, or the one in its zip archive."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f".{DIMENSIONS}d.txt")]
        if len(names) != 1:
            raise PrepareError(
                f"{path} holds {len(names)} files *.{DIMENSIONS}d.txt; unpack it and name the one to use"
            )
        with archive.open(names[0]) as file:
            yield file


def read(path: Path, words: Iterable[str]) -> WordVectors:
    """Read the vectors of some words. The file (5 GB for glove.840B.300d) is streamed and never fully in memory."""
    wanted = {spelling.encode(): spelling for word in words for spelling in spellings(word)}
    vectors: dict[str, np.ndarray] = {}
    try:
        with opened(path) as file, Progress(f"reading {path.name}, lines", every=1000) as progress:
            for number, line in enumerate(file, start=1):
                progress.step()
                word, _, numbers = line.rstrip().partition(b" ")
                if number == 1 and numbers.isdigit():
                    continue  # The text format of word2vec begins with two counts.
                if number > 2 and word not in wanted:
                    continue
                if len(numbers.split()) > DIMENSIONS and number > 1:
                    continue  # Some tokens of 840B hold spaces ("at name@domain.com"); they are no words.
                try:
                    vector = np.array(numbers.split(), dtype=np.float32)
                except ValueError as error:
                    raise PrepareError(f"{path} line {number}: not a word and numbers ({error})") from error
                if len(vector) != DIMENSIONS or not np.isfinite(vector).all():
                    raise PrepareError(
                        f"{path} line {number} has {len(vector)} numbers, expected a word and {DIMENSIONS} finite "
                        "ones; is this glove.840B.300d.txt?"
                    )
                if word in wanted:
                    vectors.setdefault(wanted[word], vector)
    except zipfile.BadZipFile as error:
        raise PrepareError(f"{path} is not a complete zip archive ({error}); download it again") from error
    if not vectors:
        raise PrepareError(f"{path} has a vector for none of the {len(wanted)} spellings looked for; is it English?")
    return WordVectors(vectors)
