"""The probe: training steps of our networks without a trainer around them, for numbers and times.

The probe is a library. A Python with torch can load it, and then torch's profiler sees the operations of its steps.
A Python without torch can load it too.

    python -m gpu_check.probe LIBRARY ARGUMENT...                   prints the probe's output, one JSON object per line
    python -m gpu_check.probe --profile N LIBRARY prepare ARGUMENT...   prints the profile of N steps
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

if __name__ != "__main__":
    from . import host
    from .part import CheckError, Part, json_lines, last_words


def probe(
    part: Part, *arguments: object, seconds: float, python: str | None = None, profile: int = 0, **environment: str
) -> list[dict]:
    """Runs the probe in its own process; returns the objects that it printed."""
    place = part.place
    command = [python or sys.executable, "-m", "gpu_check.probe", *(["--profile", str(profile)] if profile else [])]
    command += [place.program("libgpu_probe.so"), *map(str, arguments)]
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), **environment}
    torch = host.torch_of(python) if python else None
    if torch:
        # A torch with another libtorch than the one it was built with cannot be imported.
        folders = host.Libtorch(torch / "lib", "", "").folders()
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(folders)
    said = part.run(command, seconds, place.environment(**environment))
    if said.returncode != 0:
        raise CheckError(f"the probe ends with {said.returncode}: {last_words(said.stderr)}")
    return json_lines(said.stdout)


def load(library: str) -> object:
    """The probe's one function: takes arguments, returns an exit code."""
    run = ctypes.CDLL(library).gpu_probe
    run.argtypes, run.restype = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)], ctypes.c_int

    def call(arguments: list[str]) -> int:
        values = (ctypes.c_char_p * len(arguments))(*map(str.encode, arguments))
        return run(len(arguments), values)

    return call


def profiled(library: str, arguments: list[str], rounds: int) -> int:
    """Profiles this many steps of the cohort that `arguments` prepare, and prints where the time went."""
    import torch  # First, so that the probe finds its libtorch loaded.
    from torch.profiler import ProfilerActivity, profile

    call = load(library)
    cuda = any(argument.startswith("cuda") for argument in arguments)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    # Load kernels and allocate memory before the profiler watches, and start the profiler once without a result.
    code = call(arguments) or call(["rounds", "--rounds", "4"])
    with profile(activities=activities):
        code = code or call(["rounds", "--rounds", "1"])
    with profile(activities=activities) as seen:
        began = time.perf_counter()
        code = code or call(["rounds", "--rounds", str(rounds)])
        seconds = time.perf_counter() - began
        if cuda:
            torch.cuda.synchronize()
    if code == 0:
        print(json.dumps({"rounds": rounds, "profile": digest(seen.key_averages(), seconds)}), flush=True)
    return code


def digest(averages: object, seconds: float) -> dict:
    """The summary of a profile."""
    events = list(averages)
    on_device = [e for e in events if str(e.device_type).endswith("CUDA")]
    on_host = [e for e in events if str(e.device_type).endswith("CPU")]

    def device_time(event: object) -> float:
        return getattr(event, "self_device_time_total", 0.0)

    def most(chosen: list, time_of: object) -> list[dict]:
        ordered = sorted(chosen, key=time_of, reverse=True)[:12]
        return [{"name": e.key[:80], "count": e.count, "ms": round(time_of(e) / 1e3, 3)} for e in ordered]

    def host_time(event: object) -> float:
        return event.self_cpu_time_total

    copies = [e for e in on_device if e.key.startswith(("Memcpy", "Memset"))]
    kernels = [e for e in on_device if e not in copies]
    total = lambda chosen: round(sum(map(device_time, chosen)) / 1e3, 3)  # noqa: E731
    calls = {e.key: e.count for e in on_host if e.key.startswith(("cuda", "cu"))}
    return {
        "wall_ms": round(seconds * 1e3, 3),
        "kernels": {"count": sum(e.count for e in kernels), "ms": total(kernels), "most": most(kernels, device_time)},
        "copies": {"count": sum(e.count for e in copies), "ms": total(copies), "most": most(copies, device_time)},
        "host": {
            "operations": sum(e.count for e in on_host if e.key.startswith("aten::")),
            "ms": round(sum(map(host_time, on_host)) / 1e3, 3),
            "most": most(on_host, host_time),
            "cuda_calls": calls,
        },
    }


def main(arguments: list[str]) -> int:
    """The process that `probe` starts."""
    if arguments[0] == "--profile":
        return profiled(arguments[2], arguments[3:], int(arguments[1]))
    return load(arguments[0])(arguments[1:])


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Exit without the destructors of libtorch and CUDA, which are not needed.
    os._exit(code)
