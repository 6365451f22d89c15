"""Runs a command and measures it with all processes that it starts, also those that leave its session (Linux only)."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
# Seconds between two looks at the tree, and between two of them that also read its memory, which takes longer.
LOOK, MEMORY = 0.1, 0.5
# Seconds at the beginning in which each look reads the memory: a command may end before the second of the others.
OFTEN = 3
# Seconds that processes have to end after the command itself has ended.
PATIENCE = 10


@dataclass(frozen=True)
class Cost:
    """What a command needed."""

    status: int
    # When it was started, in seconds since 1970.
    started: float
    wall: float
    # Processor seconds, user and system.
    processor: float
    # Highest sum of the proportional shares of memory (PSS: a page of n processes counts 1/n in each), in bytes.
    memory: int
    # Highest number of processes at once.
    processes: int


def own_orphans() -> None:
    """Makes this process the parent of its orphaned descendants, so that it can find them and wait for them."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this process cannot become a subreaper")


def stat_of(pid: int) -> tuple[int, tuple[int, int], int] | None:
    """Parent, identity (the number and the start) and processor ticks of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name is in parentheses and may contain some itself.
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), (pid, int(fields[19])), int(fields[11]) + int(fields[12])


def descendants(root: int) -> dict[tuple[int, int], int]:
    """The processor ticks of every living descendant."""
    stats = [stat for entry in os.listdir("/proc") if entry.isdigit() and (stat := stat_of(int(entry)))]
    children: dict[int, list[tuple[tuple[int, int], int]]] = {}
    for parent, identity, ticks in stats:
        children.setdefault(parent, []).append((identity, ticks))
    found: dict[tuple[int, int], int] = {}
    parents = [root]
    while parents:
        for identity, ticks in children.get(parents.pop(), []):
            found[identity] = ticks
            parents.append(identity[0])
    return found


def memory_of(pid: int) -> int:
    """The proportional share of memory of a process, in bytes; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Watch:
    """The descendants of this process, watched while they run."""

    def __init__(self) -> None:
        self.ticks: dict[tuple[int, int], int] = {}
        self.memory = self.processes = 0
        # Of processes that were waited for, by them or by this process.
        self.reaped = 0.0
        self.memory_read = 0.0
        self.begun = time.monotonic()

    def look(self) -> int:
        """Reads times and, now and then, memory; returns the number of living processes."""
        found = descendants(os.getpid())
        self.ticks |= found
        self.processes = max(self.processes, len(found))
        now = time.monotonic()
        if now - self.memory_read >= MEMORY or now - self.begun < OFTEN:
            self.memory_read = now
            self.memory = max(self.memory, sum(memory_of(pid) for pid, _ in found))
        return len(found)

    def reap(self) -> dict[int, int]:
        """The exit codes of the children that have ended."""
        ended = {}
        with contextlib.suppress(ChildProcessError):
            while (waited := os.wait4(-1, os.WNOHANG))[0] != 0:
                pid, status, usage = waited
                ended[pid] = os.waitstatus_to_exitcode(status)
                self.reaped += usage.ru_utime + usage.ru_stime
        return ended

    def processor(self) -> float:
        """Both sums miss something: the seen times the end of each process, the reaped ones children that nobody
        waits for. Therefore the larger one counts."""
        return max(self.reaped, sum(self.ticks.values()) / os.sysconf("SC_CLK_TCK"))


def run(command: list[str], *, env: dict[str, str], log: Path, limit: float = 3600) -> Cost:
    """Runs the command to its end, with its output in a file. Nothing else of this process may have children."""
    own_orphans()
    watch, started, begun = Watch(), time.time(), time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    ended = select.poll()
    ended.register(os.pidfd_open(process.pid), select.POLLIN)
    wall = None
    while watch.look() > 0:
        # From its end on the command's own descriptor is always ready.
        ended.poll(LOOK * 1000) if wall is None else time.sleep(LOOK)
        since = time.monotonic() - begun
        codes = watch.reap()
        if process.pid in codes:
            process.returncode, wall = codes[process.pid], since
        if since > (limit if wall is None else wall + PATIENCE):
            end_all()
    return Cost(process.returncode, started, wall, watch.processor(), watch.memory, watch.processes)


def end_all() -> None:
    """Kills the processes that are left."""
    for pid, _ in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
