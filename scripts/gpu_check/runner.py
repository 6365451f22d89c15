"""Runs the parts one after the other, each in its own process: a failure, hang or crash affects only that part."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import processes, record
from .part import CheckError, Part, Place
from .record import Record

# Time for a part's process to react to its deadline, and to end the processes that it left.
GRACE = 3.0


@dataclass(frozen=True)
class Planned:
    """A part with its position in the order."""

    module: str
    """Of gpu_check, with a function `run(part)`."""
    title: str
    seconds: float
    """It may always take so long, and longer where the parts before it took less."""

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]


def run_all(parts: Sequence[Planned], place: Place, found: Record, whole: float) -> bool:
    """Runs the parts within `whole` seconds. Returns whether all passed.

    Each part is stopped when the later parts need the remaining time, so that no part takes the time of another.
    """
    processes.adopt_orphans()
    end = time.monotonic() + whole
    for number, planned in enumerate(parts, 1):
        later = sum(other.seconds for other in parts[number:])
        limit = end - time.monotonic() - GRACE - later
        print(f"\n[{number}/{len(parts)}] {planned.title} (at most {max(limit, 0):.0f} s)", flush=True)
        part = found.begin(planned.name, planned.title, limit)
        began = time.monotonic()
        outcome = run_one(planned, part, place, found, limit) if limit > 0 else record.NOT_RUN
        found.end(part, outcome, time.monotonic() - began)
        print(f"    {outcome} after {part['seconds']:.1f} s", flush=True)
    return found.passed()


def run_one(planned: Planned, part: dict, place: Place, found: Record, limit: float) -> str:
    """Runs one part and records its findings; returns its outcome."""
    deadline = time.monotonic() + limit
    with tempfile.TemporaryDirectory(prefix=f"{planned.name}-", dir=place.work, ignore_cleanup_errors=True) as work:
        fields = {**dataclasses.asdict(place), "work": work, "deadline": deadline}
        reading, writing = os.pipe()
        command = [
            sys.executable,
            "-m",
            "gpu_check.runner",
            planned.module,
            str(writing),
            json.dumps(fields, default=str),
        ]
        # The modules of tests are in another folder.
        path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[writing], env=environment)
        os.close(writing)
        try:
            in_time = receive(reading, deadline, lambda message: found.add(part, message))
            status = process.wait(max(deadline - time.monotonic(), 0.5)) if in_time else None
        except subprocess.TimeoutExpired:
            status = None
        finally:
            os.close(reading)
            if process.poll() is None:
                process.kill()
                process.wait()
            left = processes.end_below(os.getpid())
    if left:
        found.add(part, {"note": ["processes that it left"], "value": left})
    if status is None:
        return record.TIMED_OUT
    if status != 0 and "error" not in part and all(check["ok"] is not False for check in part["checks"]):
        why = f"its process ended with {'signal ' + str(-status) if status < 0 else 'code ' + str(status)}"
        found.add(part, {"error": why})
        print(f"    FAIL {why}", flush=True)
    return record.PASSED if status == 0 else record.FAILED


def receive(descriptor: int, deadline: float, take: object) -> bool:
    """Receives messages, one per line, until the other side closes. Returns False if the deadline came first."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if not selector.select(left):
                continue
            block = os.read(descriptor, 1 << 16)
            if not block:
                return True
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                take(json.loads(line))


def work(module: str, channel: int, fields: dict) -> int:
    """The process of a part. It ends when the check ends, and so do the programs that it starts."""
    processes.die_with_parent()
    # The programs that the part starts must not keep the channel open.
    os.set_inheritable(channel, False)
    place = Place(**{**fields, "bundle": Path(fields["bundle"]), "work": Path(fields["work"])})
    part = Part(place, channel)
    try:
        importlib.import_module(module).run(part)
    except Exception as error:  # noqa: BLE001 - the record names the error
        text = str(error) if isinstance(error, CheckError) else f"{type(error).__name__}: {error}"
        part.send({"error": text})
        part.say(f"FAIL {text}")
        return 1
    return 1 if part.failed else 0


if __name__ == "__main__":
    sys.exit(work(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
