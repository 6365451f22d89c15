"""The findings so far, in a file that is complete at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

# Outcomes of a part.
RUNNING, PASSED, FAILED, TIMED_OUT, NOT_RUN = "running", "passed", "failed", "timed out", "not run"
VERSION = 1


def write_json(path: Path, value: object) -> None:
    """Replaces the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        # After a signal the file may already be renamed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


class Record:
    """The JSON file. Every change is written immediately."""

    def __init__(self, path: Path, about: dict) -> None:
        self.path = path
        self.value = {"version": VERSION, "outcome": RUNNING, **about, "parts": []}
        self.began = time.monotonic()
        self.write()

    def write(self) -> None:
        self.value["seconds"] = round(time.monotonic() - self.began, 1)
        write_json(self.path, self.value)

    def begin(self, name: str, title: str, limit: float) -> dict:
        """Begins a part."""
        part = {
            "name": name,
            "title": title,
            "outcome": RUNNING,
            "limit": round(limit, 1),
            "checks": [],
            "findings": {},
        }
        self.value["parts"].append(part)
        self.write()
        return part

    def add(self, part: dict, message: dict) -> None:
        """Takes one message of a part's process, as `part.Part` sends them."""
        if "check" in message:
            part["checks"].append(message["check"])
        elif "note" in message:
            place = part["findings"]
            *path, last = message["note"]
            for key in path:
                place = place.setdefault(key, {})
            place[last] = message["value"]
        elif "error" in message:
            part["error"] = message["error"]
        else:
            raise ValueError(f"a part sent a message of no known kind: {sorted(message)}")
        self.write()

    def end(self, part: dict, outcome: str, seconds: float) -> None:
        """Ends a part."""
        part["outcome"], part["seconds"] = outcome, round(seconds, 1)
        self.write()

    def close(self, outcome: str) -> None:
        """Ends the check."""
        self.value["outcome"] = outcome
        self.write()

    def passed(self) -> bool:
        """Whether all started parts have passed."""
        return bool(self.value["parts"]) and all(part["outcome"] == PASSED for part in self.value["parts"])
