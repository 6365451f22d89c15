"""Finds and ends the descendants of this process. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """From now on, any descendant whose parent ends becomes a child of this process, so that it can be found."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Lets the kernel kill this process when its parent ends, even if the parent is killed. Also for `preexec_fn`."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def table() -> dict[int, tuple[int, str, str]]:
    """Parent, state and name of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # The process has ended.
        # The name is in parentheses and may hold any characters, also parentheses.
        name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        found[int(entry.name)] = (int(rest[1]), rest[0], name)
    return found


def below(root: int) -> dict[int, str]:
    """The living processes below one, by id, with their names (of which Linux keeps 15 letters)."""
    processes = table()
    found: dict[int, str] = {}
    new = {root}
    while new:
        new = {pid for pid, (parent, _, _) in processes.items() if parent in new and pid not in found}
        found.update({pid: processes[pid][2] for pid in new})
    return {pid: name for pid, name in found.items() if processes[pid][1] not in "ZX"}


def end_below(root: int, patience: float = 5.0) -> list[str]:
    """Kills every process below one, and waits until they have ended. Returns their names."""
    deadline = time.monotonic() + patience
    killed: dict[int, str] = {}
    while True:
        living = below(root)
        for pid, name in living.items():
            killed.setdefault(pid, name)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if root == os.getpid():
            reap()
        if not living or time.monotonic() > deadline:
            return sorted(killed.values())
        time.sleep(0.02)


def reap() -> None:
    """Reaps children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass
