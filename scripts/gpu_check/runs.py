"""Runs of `colearn run`: starting, killing, continuing, and reading the recorded results."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable

from . import processes
from .part import CheckError, Part, last_words, tail

POLL = 0.01


def changed(text: str, **lines: str) -> str:
    """A sweep file with other values for some keys. A key must have its own line in the file; a missing key is added at
    the end."""
    for key, value in lines.items():
        pattern = re.compile(rf"^(\s*){key}:.*$", re.MULTILINE)
        count = len(pattern.findall(text))
        if count > 1:
            raise CheckError(f"the sweep file has {count} lines with `{key}`")
        if count == 1:
            text = pattern.sub(rf"\g<1>{key}: {value}", text)
        else:
            text += f"\n{key}: {value}\n"
    return text


class Run:
    """One state folder, and the `colearn run` that uses it."""

    def __init__(self, part: Part, name: str, sweep: str, arguments: list[str]) -> None:
        self.part, self.name = part, name
        self.folder = part.folder(name)
        self.state = self.folder / "state"
        self.file = self.folder / "sweep.yaml"
        self.file.write_text(sweep)
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, memory: int | None = None, **environment: str) -> None:
        """Starts the command, or continues an earlier run; optionally limits the address space of each process."""

        def prepare() -> None:
            processes.die_with_parent()
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

        place = self.part.place
        command = [place.program("colearn"), "run", str(self.file), "--state", str(self.state)]
        command += ["--data-dir", str(place.bundle / "data"), *self.arguments]
        # Paths of reference tables in sweep files are relative to the working folder of the command.
        with open(self.folder / "out", "ab") as out, open(self.folder / "err", "ab") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.folder, preexec_fn=prepare,
                env=place.environment(**environment),
            )  # fmt: skip

    def wait_until(self, what: str, found: Callable[[], object], seconds: float) -> object:
        """The first true value of `found`, while the command runs."""
        end = time.monotonic() + min(seconds, self.part.left() - 1.0)
        while True:
            value = found()
            if value:
                return value
            if self.process.poll() is not None:
                raise CheckError(f"{self.name}: the sweep ended before {what}; {self.last_words()}")
            if time.monotonic() > end:
                raise CheckError(f"{self.name}: {what} did not come; {self.last_words()}")
            time.sleep(POLL)

    def wait(self, seconds: float) -> int:
        """The exit code. A command that takes longer is killed."""
        try:
            code = self.process.wait(max(min(seconds, self.part.left() - 1.0), 0.1))
        except subprocess.TimeoutExpired:
            self.kill()
            raise CheckError(f"{self.name} did not end in time; {self.last_words()}") from None
        return code

    def finish(self, seconds: float) -> dict[tuple[str, str], dict]:
        """Waits until the sweep is complete; returns its results."""
        code = self.wait(seconds)
        if code != 0:
            self.part.note("log of", self.name, value=tail(self.state / "worker.log"))
            raise CheckError(f"{self.name} ended with {code}; {self.last_words()}")
        return self.results()

    def below(self, name: str) -> list[int]:
        """The ids of its living processes with this name."""
        return [pid for pid, found in processes.below(self.process.pid).items() if found == name[:15]]

    def kill(self) -> None:
        """Kills the command, its worker and its trainers at one moment."""
        for pid in [self.process.pid, *processes.below(self.process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        # Worker and trainers are now children of this check. They keep the device until they end.
        time.sleep(0.2)

    def last_words(self) -> str:
        """The last output, for messages."""
        return f"its last words: {last_words(tail(self.folder / 'err'))}"

    def log(self) -> str:
        """The log of the worker."""
        return tail(self.state / "worker.log", 1 << 20)

    def tasks_with_checkpoints(self) -> int:
        """Number of tasks with a complete checkpoint. Incomplete checkpoints have other names."""
        return len({path.parent for path in (self.state / "checkpoints").rglob("*.safetensors")})

    def query(self, sql: str) -> list[tuple]:
        """Rows of the database, after the coordinator has ended."""
        with sqlite3.connect(self.state / "colearn.db") as database:
            return database.execute(sql).fetchall()

    def results(self) -> dict[tuple[str, str], dict]:
        """Recorded results by configuration and seed, with the number of the attempt."""
        rows = self.query("SELECT configuration, seed, attempt, result FROM results ORDER BY position")
        return {(row[0], str(row[1])): {"attempt": row[2], **json.loads(row[3])} for row in rows}

    def leases(self) -> list[tuple[int, int]]:
        """Slot and number of tasks of every lease, in order."""
        rows = self.query("SELECT body FROM journal WHERE kind = 'lease_granted' ORDER BY sequence")
        granted = [json.loads(body)["lease_granted"] for (body,) in rows]
        return [(lease["slot"], len(lease["tasks"])) for lease in granted]
