"""What a part has to work with. A part runs in a process of its own, which sends its findings as it goes."""

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

# How much of a log goes into the record.
TAIL = 3000


class CheckError(Exception):
    """Something is not as it must be; the message says what."""


class TimeUp(CheckError):
    """A program did not end in time; what it had said until then is kept."""

    def __init__(self, message: str, out: str) -> None:
        super().__init__(message)
        self.out = out


@dataclass(frozen=True)
class Place:
    """What is checked, where, and with what."""

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
        """The path of one of our programs."""
        return str(self.bundle / "bin" / name)

    def environment(self, **more: str) -> dict[str, str]:
        """For our programs: libtorch is found, and nothing of the caller's set-up is in the way."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COLEARN_")}
        path = os.pathsep.join([*self.libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
        # What the worker gives its trainers, for the probe, which is to do as they do.
        modes = {"MKL_CBWR": "AUTO", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        return {**ours, "LD_LIBRARY_PATH": path, **modes, **more}


@dataclass
class Part:
    """A part at work."""

    place: Place
    channel: int
    """The descriptor that findings are sent through."""
    failed: bool = field(default=False)

    def send(self, message: dict) -> None:
        line = (json.dumps(message, default=str) + "\n").encode()
        while line:
            line = line[os.write(self.channel, line) :]

    def say(self, text: str) -> None:
        """Tells a person."""
        print(f"    {text}", flush=True)

    def note(self, *path: object, value: object, text: str | None = None) -> None:
        """Records a value at a place in the findings."""
        self.send({"note": [str(key) for key in path], "value": value})
        if text is not None:
            self.say(text)

    def check(self, name: str, ok: bool, detail: str = "") -> bool:
        """Records whether something is as it must be."""
        self.send({"check": {"name": name, "ok": bool(ok), "detail": detail}})
        self.failed |= not ok
        self.say(f"{'ok  ' if ok else 'FAIL'} {name}{': ' if detail else ''}{detail}")
        return bool(ok)

    def leave_out(self, name: str, why: str) -> None:
        """Records something that could not be tried; that is no failure."""
        self.send({"check": {"name": name, "ok": None, "detail": why}})
        self.say(f"--   {name}: left out, {why}")

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """What fails within fails this check alone; the part goes on."""
        try:
            yield
        except CheckError as error:
            self.check(name, False, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks do not depend on it
            self.check(name, False, f"{type(error).__name__}: {error}")
            self.send({"note": ["traceback of", name], "value": traceback.format_exc()})

    def left(self) -> float:
        """Seconds until the part must have ended."""
        return self.place.deadline - time.monotonic()

    def folder(self, name: str) -> Path:
        """A new folder within the part's own."""
        folder = self.place.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def run(
        self, command: list[str], seconds: float, environment: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, but no longer than this and no longer than the part may take."""
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
    """The last lines of what a program said, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-500:] or "none"


def json_lines(text: str) -> list[dict]:
    """The objects that a program said, one a line; the last line may be cut off."""
    lines = text.splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def tail(path: Path, size: int = TAIL) -> str:
    """The end of a log."""
    try:
        return path.read_text(errors="replace")[-size:]
    except OSError as error:
        return f"({error})"
