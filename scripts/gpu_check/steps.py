"""The time of a training step at each cohort size, compared with PyTorch's, and its profile."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from . import host, sizes
from .parity import ON
from .part import CheckError, Part, TimeUp, json_lines, last_words
from .probe import probe

# The goal, and the stretch goal: ratios of model-steps per second to PyTorch's, for the paper's whole grid on one
# GPU.
AIM, STRETCH = 25, 60


def run(part: Part) -> None:
    """Runs the part. The most important measurements come first, because the time may end."""
    torch = host.torch_of(part.place.python) is not None
    seconds = 1.0 if part.place.on_gpu else 0.3
    for network in sizes.networks(part.place):
        ours, theirs = [], []
        with part.attempt(f"{network.name}: steps"):
            ours = own(part, network, sizes.MEMBERS, seconds)
        if torch:
            with part.attempt(f"{network.name}: PyTorch"):
                theirs = pytorch(part, network, modes(part), seconds)
        else:
            part.leave_out(f"{network.name}: PyTorch", f"{part.place.python} has no torch")
        with part.attempt(f"{network.name}: ratios"):
            ratios(part, network.name, ours, theirs)
    for network in sizes.networks(part.place):
        with part.attempt(f"{network.name}: profile"):
            profiles(part, network, torch)
    if part.place.on_gpu:
        for network in sizes.networks(part.place):
            with part.attempt(f"{network.name}: with TF32"):
                own(part, network, (sizes.GRID,), 0.6, ON, "steps with TF32")
        for network in sizes.networks(part.place):
            with part.attempt(f"{network.name}: with the CPU's kernels"):
                own(part, network, (sizes.GRID,), 0.6, None, "steps with the CPU's kernels", ("--kernels", "in-place"))
    compiled(part, torch)


def modes(part: Part) -> list[str]:
    """PyTorch's modes, without the one that may take minutes."""
    return (
        ["eager", "fused", "graph", "five", "fused, TF32", "graph, TF32"]
        if part.place.on_gpu
        else ["eager", "fused", "five"]
    )


def own(
    part: Part, network: sizes.Network, members: tuple[int, ...], seconds: float,
    mode: dict[str, str] | None = None, name: str = "steps", kernels: tuple[str, ...] = (),
) -> list[dict]:  # fmt: skip
    """Times of colearn's steps."""
    command = ["steps", network.name, "--members", ",".join(map(str, members)), *sizes.probed(part.place, network)]
    command += ["--seconds", seconds, "--limit", part.left() * 0.4, *kernels]
    late = ""
    try:
        timed = probe(part, *command, seconds=part.left() * 0.6, **(mode or {}))
    except TimeUp as error:
        timed, late = json_lines(error.out), str(error)
    part.note(network.name, name, value=timed)
    failed = [row for row in timed if "error" in row]
    for row in sorted(timed, key=lambda row: row["members"]):
        if "ms" in row:
            each = f"{row['members'] / row['ms'] * 1e3:8.0f} model-steps/s"
            # The memory of the other sizes includes what these two left in the allocator.
            shown = row["memory"] and (row is timed[0] or row["members"] == max(members))
            memory = f"; at most {row['memory'] / row['members'] / 2**20:.1f} MiB a member" if shown else ""
            part.say(
                f"{network.name} K={row['members']:3}: {row['ms']:8.2f} ms a step, {each}; "
                f"host {row['host_ms']:.2f} ms, train {row['train_ms']:.2f}, "
                f"optimizer {row['optimizer_ms']:.2f}{memory}"
            )
        else:
            part.say(f"{network.name} K={row['members']:3}: {row.get('left_out') or row['error']}")
    first = timed[0] if timed else {}
    if first.get("memory"):
        # The memory of later sizes includes what this one left in the allocator.
        part.note(network.name, "memory of a member, bytes", value=round(first["memory"] / first["members"]))
    detail = "; ".join([*(f"K={row['members']}: {row['error']}" for row in failed), *filter(None, [late])])
    part.check(f"{network.name}: {name}", not detail and any("ms" in row for row in timed), detail)
    return [row for row in timed if "ms" in row]


def pytorch(
    part: Part, network: sizes.Network, chosen: list[str], seconds: float, limit: float | None = None
) -> list[dict]:
    """Times of PyTorch's steps."""
    command = pytorch_command(part, network, seconds) + ["--modes", *chosen]
    try:
        said = part.run(command, limit or part.left() * 0.5, dict(os.environ))
        out, trouble = said.stdout, last_words(said.stderr)
    except TimeUp as error:
        # The measurements until then count.
        out, trouble = error.out, str(error)
        part.note(network.name, "PyTorch", "stopped", value=trouble, text=trouble)
    timed = json_lines(out)
    for row in timed:
        part.note(network.name, "PyTorch", row["mode"], value=row)
        text = (
            f"{row['ms']:.3f} ms a step and model, host {row['host_ms']:.3f} ms"
            if "ms" in row
            else row["error"].partition("\n")[0]
        )
        part.say(f"{network.name} PyTorch, {row['mode']}: {text}")
    if not any("ms" in row for row in timed):
        raise CheckError(f"PyTorch made no step: {trouble}")
    return timed


def pytorch_command(part: Part, network: sizes.Network, seconds: float) -> list[str]:
    """Starts pytorch_time.py."""
    networks = next((str(path) for path in benches(part) if (path / "pytorch_networks.py").exists()), "")
    command = [part.place.python, "-m", "gpu_check.pytorch_time", "--networks", networks, "--network", network.name]
    command += ["--device", sizes.device(part.place), "--samples", str(network.samples), "--steps", str(network.steps)]
    return command + ["--seconds", str(seconds)]


def benches(part: Part) -> list[Path]:
    """The folder of pytorch_networks.py: in the bundle, or in the checkout."""
    return [part.place.bundle / "benches", Path(__file__).resolve().parent.parent.parent / "trainer" / "benches"]


def ratios(part: Part, network: str, ours: list[dict], theirs: list[dict]) -> None:
    """Model-steps per second at each K, and the ratios to PyTorch's best and usual mode in the same precision."""
    plain = {row["mode"]: row["ms"] for row in theirs if "ms" in row and "TF32" not in row["mode"]}
    table = []
    for row in sorted(ours, key=lambda row: row["members"]):
        per_second = row["members"] / row["ms"] * 1e3
        entry = {"members": row["members"], "model_steps_per_second": per_second}
        entry |= {f"times PyTorch, {mode}": per_second * ms / 1e3 for mode, ms in plain.items()}
        table.append(entry)
    part.note(network, "ratios", value=table)
    at_grid = next((entry for entry in table if entry["members"] == sizes.GRID), None)
    if at_grid and plain:
        best = min(plain, key=plain.get)
        usual = at_grid.get("times PyTorch, eager", 0.0)
        most = at_grid[f"times PyTorch, {best}"]
        text = f"K={sizes.GRID}: {usual:.1f} times PyTorch, {most:.1f} times its best ({best})"
        part.note(network, "ratio at the grid", value={"eager": usual, best: at_grid[f"times PyTorch, {best}"]})
        part.say(f"{network} {text}; aim {AIM}, stretch {STRETCH}")


def profiles(part: Part, network: sizes.Network, torch: bool) -> None:
    """Profiles of a step."""
    rounds = 10 if part.place.on_gpu else 3
    members = sizes.GRID if part.place.on_gpu else 5
    arguments = ["prepare", network.name, "--members", members, *sizes.probed(part.place, network)]
    part.note("profilers", value={name: shutil.which(name) for name in ("nsys", "ncu")})
    if not torch:
        part.leave_out(f"{network.name}: profile", f"{part.place.python} has no torch, whose profiler it takes")
        return
    seen = probe(part, *arguments, seconds=min(40, part.left() * 0.4), python=part.place.python, profile=rounds)[-1][
        "profile"
    ]
    part.note(network.name, "profile", value={"members": members, "rounds": rounds, **seen})
    part.check(f"{network.name}: profile", seen["host"]["operations"] > 0, per_step(seen, rounds))
    said = part.run(
        pytorch_command(part, network, 1) + ["--modes", "profile"], min(30, part.left() * 0.4), dict(os.environ)
    )
    theirs = json.loads(said.stdout.splitlines()[-1])
    part.note(network.name, "PyTorch", "profile", value=theirs)
    if "profile" in theirs:
        part.say(f"{network.name} PyTorch: {per_step(theirs['profile'], theirs['rounds'])}")


def per_step(seen: dict, rounds: int) -> str:
    """A profile as one line."""
    kernels, copies, on_host = seen["kernels"], seen["copies"], seen["host"]
    return (
        f"a step has {kernels['count'] / rounds:.0f} kernels of {kernels['ms'] / rounds:.2f} ms, "
        f"{copies['count'] / rounds:.0f} copies of {copies['ms'] / rounds:.2f} ms, "
        f"{on_host['operations'] / rounds:.0f} operations of {on_host['ms'] / rounds:.2f} ms on the host; "
        f"{seen['wall_ms'] / rounds:.2f} ms with the profiler"
    )


def compiled(part: Part, torch: bool) -> None:
    """torch.compile, if there is time: it takes a minute, and a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not torch or compiler is None or part.left() < 25:
        why = (
            "there is no torch"
            if not torch
            else "there is no C compiler"
            if compiler is None
            else "there is no time left"
        )
        return part.leave_out("PyTorch under torch.compile", why)
    network = sizes.networks(part.place)[-1]
    try:
        pytorch(part, network, ["compile"], 0.5, part.left() - 3)
    except CheckError as error:
        # Whether torch.compile works is outside colearn's control.
        part.leave_out("PyTorch under torch.compile", str(error))
