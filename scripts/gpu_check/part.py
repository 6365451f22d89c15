"""The environment of a part. A part runs in its own process, which sends its findings at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import processes

# Number of characters of a log that are recorded.
TAIL = 3000


class CheckError(Exception):
    """A check failed; the message says why."""


class TimeUp(CheckError):
    """A program did not end in time; its output until then is kept."""

    def __init__(self, message: str, out: str) -> None:
        super().__init__(message)
        self.out = out


@dataclass(frozen=True)
class Place:
    """The programs, device and folders of the check."""

    bundle: Path
    """The folder of `make gpu-bundle`: bin, data, sweeps."""
    work: Path
    """An empty folder of the part's own."""
    device: str
    """`cuda` or `cpu`."""
    python: str
    """A Python with torch, to compare with, if there is one."""
    libraries: list[str]
    """Folders for LD_LIBRARY_PATH."""
    cores: int
    deadline: float
    """Of time.monotonic(), which all processes of a host share."""

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def program(self, name: str) -> str:
        """The path of one of colearn's programs."""
        return str(self.bundle / "bin" / name)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment for colearn's programs: libtorch is found, and the caller's settings are removed."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COLEARN_")}
        path = os.pathsep.join([*self.libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
        # The settings that the worker gives its trainers, so that the probe computes in the same way.
        modes = {"MKL_CBWR": "AUTO", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        return {**ours, "LD_LIBRARY_PATH": path, **modes, **more}


@dataclass
class Part:
    """A running part."""

    place: Place
    channel: int
    """The descriptor that findings are sent through."""
    failed: bool = field(default=False)

    def send(self, message: dict) -> None:
        line = (json.dumps(message, default=str) + "\n").encode()
        while line:
            line = line[os.write(self.channel, line) :]

    def say(self, text: str) -> None:
        """Prints a line for the user."""
        print(f"    {text}", flush=True)

    def note(self, *path: object, value: object, text: str | None = None) -> None:
        """Records a value under these keys in the findings."""
        self.send({"note": [str(key) for key in path], "value": value})
        if text is not None:
            self.say(text)

    def check(self, name: str, ok: bool, detail: str = "") -> bool:
        """Records whether a check passed."""
        self.send({"check": {"name": name, "ok": bool(ok), "detail": detail}})
        self.failed |= not ok
        self.say(f"{'ok  ' if ok else 'FAIL'} {name}{': ' if detail else ''}{detail}")
        return bool(ok)

    def leave_out(self, name: str, why: str) -> None:
        """Records a check that could not be made; that is no failure."""
        self.send({"check": {"name": name, "ok": None, "detail": why}})
        self.say(f"--   {name}: left out, {why}")

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """An error in this block fails only this check; the part continues."""
        try:
            yield
        except CheckError as error:
            self.check(name, False, str(error))
        except Exception as error:  # noqa: BLE001 - for any error: the other checks do not depend on this one
            self.check(name, False, f"{type(error).__name__}: {error}")
            self.send({"note": ["traceback of", name], "value": traceback.format_exc()})

    def left(self) -> float:
        """Seconds until the part must end."""
        return self.place.deadline - time.monotonic()

    def folder(self, name: str) -> Path:
        """A new folder within the part's folder."""
        folder = self.place.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def run(
        self, command: list[str], seconds: float, environment: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, within this time limit and that of the part."""
        limit = min(seconds, self.left() - 1.0)
        if limit <= 0:
            raise CheckError(f"there is no time left for {Path(command[0]).name}")
        environment = self.place.environment() if environment is None else environment
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            preexec_fn=processes.die_with_parent,
        )  # fmt: skip
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            message = (
                f"{Path(command[0]).name} did not end within {limit:.0f} s; its last words: {last_words(err or out)}"
            )
            raise TimeUp(message, out) from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def last_words(text: str, count: int = 3) -> str:
    """The last lines of a program's output, joined to one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-500:] or "none"


def json_lines(text: str) -> list[dict]:
    """The JSON objects in a program's output, one per line; the last line may be incomplete."""
    lines = text.splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def tail(path: Path, size: int = TAIL) -> str:
    """The end of a log."""
    try:
        return path.read_text(errors="replace")[-size:]
    except OSError as error:
        return f"({error})"
