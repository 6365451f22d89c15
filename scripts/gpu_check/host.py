"""The equipment of this host: GPUs, Python's torch, libtorch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TORCH = "2.11.0"
FIND_TORCH = """
import importlib.util
spec = importlib.util.find_spec("torch")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")
"""


@dataclass(frozen=True)
class Libtorch:
    """An installed libtorch."""

    lib: Path
    where: str
    """How it was found."""
    version: str
    """Empty where it does not say."""

    @property
    def cuda(self) -> Path | None:
        """Its CUDA half, if it exists."""
        library = self.lib / "libtorch_cuda.so"
        return library if library.exists() else None

    def folders(self) -> list[str]:
        """Folders for the loader: libtorch, and the CUDA libraries that pip puts beside torch."""
        packages = self.lib.parent.parent / "nvidia"
        beside = sorted(str(folder) for folder in packages.glob("*/lib")) if packages.is_dir() else []
        return [str(self.lib), *beside]


def version_of(lib: Path) -> str:
    """The version, from the files of Python's torch or of libtorch's archives."""
    torch = lib.parent / "version.py"
    if torch.exists():
        found = re.search(r"__version__ = '([^']*)'", torch.read_text())
        return found[1] if found else ""
    build = lib.parent / "build-version"
    return build.read_text().strip() if build.exists() else ""


def torch_of(python: str) -> Path | None:
    """The folder of a Python's torch, without importing it."""
    try:
        found = subprocess.run([python, "-c", FIND_TORCH], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    folder = found.stdout.strip()
    return Path(folder) if folder and (Path(folder) / "lib").is_dir() else None


def find_libtorch(named: str | None, python: str, checkout: Path) -> tuple[Libtorch | None, list[str]]:
    """The first libtorch of the version that colearn was built with, and why others were not used."""
    torch = torch_of(python)
    places = [
        (named, "--libtorch"),
        (os.environ.get("LIBTORCH"), "LIBTORCH"),
        (torch, f"the torch of {python}"),
        (checkout / ".libtorch", "this checkout's .libtorch"),
    ]
    wrong = []
    for folder, where in places:
        if folder is None or folder == "":
            continue
        lib = Path(folder).resolve() / "lib"
        if not (lib / "libtorch_cpu.so").exists():
            if where != "this checkout's .libtorch":
                wrong.append(f"{where}: there is no lib/libtorch_cpu.so in {folder}")
            continue
        version = version_of(lib)
        if version and version.partition("+")[0] != TORCH:
            wrong.append(f"{where}: {folder} is torch {version}, and colearn was built with {TORCH}")
            continue
        return Libtorch(lib, where, version), wrong
    return None, wrong


def nvidia_smi(*query: str) -> list[list[str]]:
    """The fields that `nvidia-smi` lists, one row per GPU; empty if it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(query)}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if said.returncode != 0:
        return []
    return [[value.strip() for value in line.split(",")] for line in said.stdout.splitlines() if line.strip()]


def used_memory() -> int | None:
    """MiB in use on the first GPU that this process may see."""
    return next((int(row[0]) for row in nvidia_smi("memory.used") if row[0].isdigit()), None)
