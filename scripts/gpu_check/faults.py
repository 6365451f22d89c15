"""Recovery from faults: out of memory, a killed trainer, two slots on one device."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import host, processes
from .part import CheckError, Part, last_words
from .runs import Run, changed

# Memory of a GPU that is left to a cohort which needs about 5 GiB at K = 16; the CUDA context alone takes half a GiB.
LEFT_ON_GPU = 4 * 2**30
# Memory beyond that of an idle trainer: half of what a cohort of 16 of the smaller network needs.
LEFT_ON_CPU = 500 * 2**20
MEMBERS = 16
LARGE = """
name: gpu-check-memory
dataset: iemocap-shapes
primary: language
model: {{kind: bi-eflstm, hidden: {hidden}, layers: 2, dropout: 0.5}}
training: {{epochs: 1, batch_size: 30, learning_rate: 0.0001, shuffle: once, drop_last: true}}
checkpoint: {{every_epochs: 0}}
seeds: {seeds}
"""
# MiB that a driver may keep after a process has ended.
SLACK = 128


def run(part: Part) -> None:
    """Runs the part."""
    with part.attempt("a cohort that is too large is halved"):
        out_of_memory(part)
    with part.attempt("a killed trainer is replaced"):
        killed_trainer(part)
    with part.attempt("two slots on one device"):
        two_slots(part)


def out_of_memory(part: Part) -> None:
    """A cohort that does not fit is split into smaller ones, at no cost of attempts."""
    name = "a cohort that is too large is halved"
    hidden = 512 if part.place.on_gpu else 128
    sweep = LARGE.format(hidden=hidden, seeds=list(range(MEMBERS)))
    threads = str(min(part.place.cores, 4))
    run = Run(
        part,
        "memory",
        sweep,
        ["--device", part.place.device, "--slots", "1", "--threads", threads, "--max-cohort", str(MEMBERS)],
    )
    limit, ballast = None, None
    if part.place.on_gpu:
        ballast = hold_gpu(part, LEFT_ON_GPU)
    else:
        limit = idle_trainer(part) + LEFT_ON_CPU
        part.note("memory limit of a process that stands in for a full GPU, bytes", value=limit)
    try:
        run.start(memory=limit)
        results = run.finish(part.left() * 0.6)
    finally:
        if ballast is not None:
            ballast.kill()
            ballast.communicate()
    leases = [count for _, count in run.leases()]
    told = "out_of_memory" in run.log()
    attempts = {result["attempt"] for result in results.values()}
    part.note("leases of the cohort that was too large", value=leases)
    ok = told and len(results) == MEMBERS and attempts == {1} and leases[0] == MEMBERS and min(leases) < MEMBERS
    how = "by a limit on main memory" if limit else f"with {LEFT_ON_GPU / 2**30:.0f} GiB left on the GPU"
    part.check(name, ok, f"{how}: cohorts of {leases}, {len(results)} tasks done in attempt {sorted(attempts)}")


def hold_gpu(part: Part, leave: int) -> subprocess.Popen[str]:
    """A process that leaves this much of the GPU's memory to others."""
    command = [sys.executable, "-m", "gpu_check.probe", part.place.program("libgpu_probe.so")]
    command += ["hold", "--device", "cuda:0", "--leave", str(leave)]
    environment = part.place.environment(PYTHONPATH=str(Path(__file__).resolve().parent.parent))
    pipe = subprocess.PIPE
    holder = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, preexec_fn=processes.die_with_parent
    )
    line = holder.stdout.readline()
    if not line:
        said = holder.communicate()[1]
        raise CheckError(f"the GPU's memory could not be taken: {last_words(said)}")
    part.say(f"{json.loads(line)['held'] / 2**30:.1f} GiB of the GPU are taken by another process")
    return holder


def idle_trainer(part: Part) -> int:
    """Address space of a trainer before it trains, in bytes."""
    command = [part.place.program("colearn-trainer"), "train", "--device", "cpu", "--threads", "1", "--data-dir", "."]
    pipe = subprocess.PIPE
    trainer = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=part.place.environment(),
        preexec_fn=processes.die_with_parent,
    )
    try:
        if not trainer.stdout.readline():
            raise CheckError(f"the trainer does not start: {last_words(trainer.stderr.read())}")
        status = Path(f"/proc/{trainer.pid}/status").read_text()
    finally:
        trainer.kill()
        trainer.communicate()
    return int(re.search(r"^VmSize:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024


def killed_trainer(part: Part) -> None:
    """A killed trainer is replaced, the next one continues from the checkpoint, and the device's memory is free."""
    name = "a killed trainer is replaced"
    before = host.used_memory() if part.place.on_gpu else None
    text = (part.place.bundle / "sweeps" / "demo.yaml").read_text()
    epochs = "30" if part.place.on_gpu else "12"
    retries = "{max_attempts: 5, initial_backoff: 100ms, max_backoff: 1s}"
    sweep = changed(text, checkpoint="{every_epochs: 1}", epochs=epochs, seeds="[0]", retries=retries)
    run = Run(
        part,
        "killed-trainer",
        sweep,
        ["--device", part.place.device, "--slots", "1", "--threads", "1", "--max-cohort", "4"],
    )
    run.start()
    run.wait_until("a checkpoint of each member", lambda: run.tasks_with_checkpoints() >= 4, 40)
    first = run.below("colearn-trainer")
    with_it = host.used_memory() if part.place.on_gpu else None
    if len(first) != 1:
        raise CheckError(f"one slot has {len(first)} trainers")
    os.kill(first[0], signal.SIGKILL)
    second = run.wait_until(
        "another trainer", lambda: [pid for pid in run.below("colearn-trainer") if pid not in first], 20
    )
    results = run.finish(part.left() * 0.6)
    resumed = sum(bool(result["resumed_after"]) for result in results.values())
    told = "signal 9" in run.log()
    detail = f"process {first[0]}, then {second[0]}; {resumed} of {len(results)} tasks went on from a checkpoint"
    part.check(name, told and resumed > 0, detail)
    if before is None or with_it is None:
        return part.leave_out("the device's memory is free again", "there is no GPU in this check")
    after = host.used_memory()
    end = time.monotonic() + min(5.0, part.left() - 1)
    while after > before + SLACK and time.monotonic() < end:
        time.sleep(0.2)
        after = host.used_memory()
    detail = f"{before} MiB before, {with_it} with the trainer, {after} after"
    part.check("the device's memory is free again", after <= before + SLACK < with_it + SLACK, detail)


def two_slots(part: Part) -> None:
    """Two trainers on one device share a sweep."""
    text = (part.place.bundle / "sweeps" / "demo.yaml").read_text()
    sweep = changed(text, epochs="15" if part.place.on_gpu else "3", seeds="[0, 1]")
    slots = ["--slots-per-gpu", "2"] if part.place.on_gpu else ["--slots", "2"]
    run = Run(part, "two-slots", sweep, ["--device", part.place.device, *slots, "--threads", "1", "--max-cohort", "4"])
    run.start()
    run.wait_until("two trainers", lambda: len(run.below("colearn-trainer")) == 2, 40)
    results = run.finish(part.left() - 2)
    used = sorted({slot for slot, _ in run.leases()})
    devices = sorted({result["device"] for result in results.values()})
    detail = f"slots {used} trained {len(results)} tasks on {', '.join(devices)}"
    part.check("two slots on one device", used == [0, 1] and len(devices) == 1, detail)
