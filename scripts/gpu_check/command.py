"""The command line of `gpu-check`."""

from __future__ import annotations

import argparse
import datetime
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import host, record
from .part import Place
from .record import Record
from .runner import Planned, run_all

# Time limit in seconds for everything, including the time between parts: under five minutes.
WHOLE = 290.0
PARTS = (
    Planned("gpu_check.inventory", "what is there", 50),
    Planned("gpu_check.parity", "training steps on the device against the CPU", 40),
    Planned("gpu_check.demo", "the demo sweep: the same table, and the same bits after kill -9", 55),
    Planned("gpu_check.steps", "time of a training step, beside PyTorch", 90),
    Planned("gpu_check.faults", "out of memory, a killed trainer, two slots", 50),
)
PROGRAMS = ("colearn", "colearn-worker", "colearn-trainer", "libgpu_probe.so")


def parser(about: str) -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="gpu-check", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [planned.name for planned in PARTS]
    parser.add_argument("--cpu", action="store_true", help="use the CPU instead of the GPU, with smaller networks")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the folder that `make gpu-bundle` wrote")
    parser.add_argument(
        "--out", type=Path, default=Path("gpu-check.json"), metavar="FILE", help="(default: %(default)s)"
    )
    parser.add_argument("--libtorch", metavar="DIR", help="a libtorch 2.11.0 (default: LIBTORCH, or python's torch)")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch 2.11.0 (default: this one)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--seconds", type=float, default=WHOLE, metavar="N", help="stop after this time (default: %(default).0f)"
    )
    return parser


def find_bundle(named: Path | None) -> Path | str:
    """The bundle, or the reason why there is none."""
    root = Path(__file__).resolve().parent.parent.parent
    places = [named] if named else [root, root / "target" / "gpu-bundle"]
    for place in places:
        missing = [name for name in PROGRAMS if not (place / "bin" / name).exists()]
        if not missing:
            return place.resolve()
    where = named or root / "target" / "gpu-bundle"
    return (
        f"there is no bundle in {where} (bin/{missing[0]} is missing): run make gpu-bundle, or name one with --bundle"
    )


def main(about: str) -> int:
    """Runs the check; returns the exit code."""
    options = parser(about).parse_args()
    bundle = find_bundle(options.bundle)
    if isinstance(bundle, str):
        print(f"gpu-check: {bundle}", file=sys.stderr)
        return 2
    # The root of a checkout, or the bundle itself. A libtorch may be beside it.
    checkout = Path(__file__).resolve().parent.parent.parent
    libtorch, wrong = host.find_libtorch(options.libtorch, options.python, checkout)
    for line in wrong:
        print(f"gpu-check: {line}", file=sys.stderr)
    if libtorch is None:
        print(
            f"gpu-check: no libtorch {host.TORCH} was found: name a folder with --libtorch or LIBTORCH, or a Python "
            f"that has torch=={host.TORCH} with --python",
            file=sys.stderr,
        )
        return 2
    revision = bundle / "revision"
    about_this = {
        "device": "cpu" if options.cpu else "cuda",
        "stand_in": "the CPU stands in for the GPU: no figure here says anything about one" if options.cpu else None,
        "began": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "revision": revision.read_text().strip() if revision.exists() else None,
        "libtorch": {"folder": str(libtorch.lib), "found": libtorch.where, "version": libtorch.version},
        "python": options.python,
    }
    found = Record(options.out, about_this)
    print(f"gpu-check: libtorch {libtorch.version or 'of no stated version'} in {libtorch.lib} ({libtorch.where})")
    print(f"gpu-check: findings go to {options.out}", flush=True)
    stop_on_signals(found)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as work:
        place = Place(
            bundle=bundle,
            work=Path(work),
            device="cpu" if options.cpu else "cuda",
            python=options.python,
            libraries=libtorch.folders(),
            cores=len(os.sched_getaffinity(0)),
            deadline=time.monotonic() + options.seconds,
        )
        parts = [planned for planned in PARTS if not options.only or planned.name in options.only]
        passed = run_all(parts, place, found, options.seconds)
    found.close(record.PASSED if passed else record.FAILED)
    print(summary(found), flush=True)
    return 0 if passed else 1


def stop_on_signals(found: Record) -> None:
    """On a signal, records that the check was stopped, and ends every process that it started."""

    def stop(number: int, _frame: object) -> None:
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_IGN)
        found.close(f"stopped by {signal.Signals(number).name}")
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def summary(found: Record) -> str:
    """The summary at the end of the output."""
    lines = [""]
    for part in found.value["parts"]:
        checks = [check["ok"] for check in part["checks"]]
        counts = f"{checks.count(True)} ok, {checks.count(False)} failed, {checks.count(None)} left out"
        lines.append(f"{part['name']:10} {part['outcome']:10} {part['seconds']:6.1f} s  {counts}")
        lines.extend(
            f"           FAIL {check['name']}: {check['detail']}" for check in part["checks"] if check["ok"] is False
        )
        if "error" in part:
            lines.append(f"           FAIL {part['error']}")
    lines.append(f"gpu-check: {found.value['outcome']} after {found.value['seconds']:.0f} s; see {found.path}")
    return "\n".join(lines)
