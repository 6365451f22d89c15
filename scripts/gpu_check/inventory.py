"""The inventory: GPU, driver, libtorch, and whether colearn's programs find them."""

from __future__ import annotations

import json
import os
import platform
import re

from . import host
from .part import CheckError, Part, last_words
from .probe import probe

# An address without a listener: the worker lists its slots before it looks for a coordinator.
NOBODY = "http://127.0.0.1:1"
SLOTS = re.compile(r"(\d+) slots?: (.*)")


def run(part: Part) -> None:
    """Runs the part."""

    def right(slot: str) -> bool:
        return slot.startswith(part.place.device)

    part.note("host", value={"machine": platform.machine(), "kernel": platform.release(), "cores": part.place.cores})
    part.note("glibc", value=platform.libc_ver()[1])
    gpus = host.nvidia_smi("index", "name", "uuid", "driver_version", "memory.total", "memory.used", "compute_mode")
    part.note("gpus", value=gpus)
    for gpu in gpus:
        part.say(f"GPU {gpu[0]}: {gpu[1]}, driver {gpu[3]}, {gpu[4]} MiB of which {gpu[5]} are in use")
    if part.place.on_gpu:
        part.check("nvidia-smi lists a GPU", bool(gpus), "" if gpus else "it is not there, fails, or lists none")
    with part.attempt("PyTorch"):
        pytorch(part)
    with part.attempt("our programs start"):
        for name in ("colearn", "colearn-worker", "colearn-trainer"):
            said = part.run([part.place.program(name), "--version"], 20)
            if said.returncode != 0:
                raise CheckError(f"{name} --version ends with {said.returncode}: {last_words(said.stderr)}")
        part.check("our programs start", True)
    with part.attempt("the probe sees the device"):
        device = probe(part, "device", seconds=30)[-1]
        part.note("probe", value=device)
        wanted = "cuda" if part.place.on_gpu else "cpu"
        trouble = f", {device['cuda_error']}" if device["cuda_error"] else ""
        detail = f"{device['cuda_devices']} CUDA device(s), cuDNN {device['cudnn']}, {device['cuda_library']}{trouble}"
        part.check("the probe sees the device", wanted == "cpu" or device["cuda_devices"] > 0, detail)
    with part.attempt("the trainer takes the device"):
        trainer(part)
    with part.attempt("the worker's inventory"):
        slots = worker_slots(part)
        part.check("the worker's inventory", all(map(right, slots)), "; ".join(slots))
    with part.attempt("what a worker takes unless told"):
        slots = worker_slots(part, device="auto")
        part.check("what a worker takes unless told", all(map(right, slots)) or not part.place.on_gpu, "; ".join(slots))
    visible(part, gpus)


def pytorch(part: Part) -> None:
    """The torch of this Python; colearn itself does not need it."""
    code = (
        "import json, sys, torch; c = torch.cuda.is_available(); print(json.dumps({'torch': torch.__version__, "
        "'cuda': torch.version.cuda, 'available': c, 'cudnn': torch.backends.cudnn.version() if c else None, "
        "'device': torch.cuda.get_device_name() if c else None}))"
    )
    if host.torch_of(part.place.python) is None:
        return part.leave_out("PyTorch", f"{part.place.python} has no torch")
    said = part.run([part.place.python, "-c", code], 60, dict(os.environ))
    if said.returncode != 0:
        raise CheckError(f"torch cannot be imported: {last_words(said.stderr)}")
    value = json.loads(said.stdout.splitlines()[-1])
    part.note("pytorch", value=value)
    usable = value["available"] or not part.place.on_gpu
    part.check("PyTorch", usable, f"torch {value['torch']}, CUDA {value['cuda']}, device {value['device']}")


def trainer(part: Part) -> None:
    """The trainer program says `ready` on the device, and ends with its input."""
    device = "cuda:0" if part.place.on_gpu else "cpu"
    command = [part.place.program("colearn-trainer"), "train", "--device", device, "--threads", "1", "--data-dir", "."]
    said = part.run(command, 40)
    first = said.stdout.splitlines()[0] if said.stdout else ""
    if said.returncode != 0 or not first:
        raise CheckError(f"it ends with {said.returncode}: {last_words(said.stderr)}")
    event = json.loads(first)
    ready = event.get("event") == "ready" and event["device"].startswith(device)
    part.check("the trainer takes the device", ready, f"{event}{'; ' + last_words(said.stderr) if said.stderr else ''}")


def worker_slots(part: Part, device: str | None = None, **environment: str) -> list[str]:
    """The devices of the worker's slots; the worker finds no coordinator and ends."""
    said = worker(part, device, **environment)
    found = SLOTS.search(said)
    if not found:
        raise CheckError(f"the worker does not say which slots it has: {last_words(said)}")
    return found[2].split(", ")


def worker(part: Part, device: str | None = None, **environment: str) -> str:
    """The output of a worker that finds no coordinator."""
    command = [part.place.program("colearn-worker"), "--coordinator", NOBODY, "--connect-timeout", "1s"]
    command += [
        "--device",
        device or part.place.device,
        "--data-dir",
        ".",
        "--checkpoints",
        str(part.folder("checkpoints")),
    ]
    return part.run(command, 30, part.place.environment(**environment)).stderr


def visible(part: Part, gpus: list[list[str]]) -> None:
    """CUDA_VISIBLE_DEVICES by index and UUID, and empty."""
    if not part.place.on_gpu:
        return part.leave_out("CUDA_VISIBLE_DEVICES", "there is no GPU in this check")
    if not gpus:
        return part.leave_out("CUDA_VISIBLE_DEVICES", "nvidia-smi lists no GPU")
    for what, value in (("index", gpus[0][0]), ("UUID", gpus[0][2])):
        with part.attempt(f"CUDA_VISIBLE_DEVICES by {what}"):
            slots = worker_slots(part, CUDA_VISIBLE_DEVICES=value)
            seen = probe(part, "device", seconds=30, CUDA_VISIBLE_DEVICES=value)[-1]["cuda_devices"]
            ok = len(slots) == 1 and seen == 1
            part.check(f"CUDA_VISIBLE_DEVICES by {what}", ok, f"{value}: worker {slots}, libtorch {seen} device(s)")
    with part.attempt("CUDA_VISIBLE_DEVICES that is empty"):
        said = worker(part, CUDA_VISIBLE_DEVICES="")
        ok = "no GPU is visible" in said
        part.check("CUDA_VISIBLE_DEVICES that is empty", ok, last_words(said, 1))
