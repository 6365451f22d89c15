"""Reads pickles that hold only arrays and plain containers.

A module to import, not a script. A pickle is a program: unpickling a file runs the functions that it names. Data sets
are distributed as pickles nevertheless. This reader therefore knows only the few names that arrays need, and refuses
any other name before it is looked up.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from colearn_data import PrepareError


def encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """The function that protocol 2 calls for bytes; other encodings are refused."""
    if encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def allowed_names() -> dict[tuple[str, str], object]:
    """The functions that a pickle may call, by module and name."""
    # The names come from numpy itself, because these functions have moved between numpy 1 and 2.
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0.0).__reduce__()[0]
    from_buffer = np.zeros(1).__reduce_ex__(5)[0]
    names: dict[tuple[str, str], object] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): encode_latin1,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = reconstruct
        names[f"{core}.multiarray", "scalar"] = scalar
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
    for builtins in ("builtins", "__builtin__"):
        for kind in (set, frozenset, bytearray, complex):
            names[builtins, kind.__name__] = kind
    return names


class Reader(pickle.Unpickler):
    """An unpickler that finds only allowed names."""

    names = allowed_names()

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array") from None


def load(path: Path) -> object:
    """The content of a pickle, of Python 2 or 3, if it is arrays, numbers, texts and containers only."""
    with path.open("rb") as file:
        try:
            return Reader(file, encoding="latin1").load()
        except pickle.UnpicklingError as error:
            raise PrepareError(f"{path} is refused: {error}; nothing of it was run") from error
        except Exception as error:  # A damaged pickle can raise anything.
            raise PrepareError(f"{path} is not a complete pickle ({type(error).__name__}: {error})") from error
