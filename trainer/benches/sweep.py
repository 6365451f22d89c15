"""Compares whole sweeps: `colearn run`, and the same networks in PyTorch under Ray Tune, in turns within one run.

    python trainer/benches/sweep.py --programs target/release --python PYTHON_WITH_TORCH_AND_RAY [--turns 3]
        [--utd-mhad PREPARED_FILE] [--json FILE]

The sweeps are the shipped ones with fewer seeds and other numbers of epochs, so that most of the time is spent in
training: demo, on generated data, and utd-mhad if its prepared data set is given. Both train two tasks at a time with
one thread each. CONTRIBUTING.md says what is counted. Linux only.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import process_tree
from turns import Records, ratios, shown, spread, table

HERE = Path(__file__).resolve().parent
SLOTS = 2
COLEARN, RAY = "colearn run", "PyTorch, Ray Tune"
# A difference of accuracies that two seeds can have by chance. With ten seeds of the shipped demo it was 0.006.
TOLERANCE = 0.05
# What the reference does; a sweep with other settings is refused.
IMPLEMENTED = {
    "model.kind": "bi-eflstm",
    "training.weight_decay": 0,
    "training.gradient_clip": 0,
    "training.schedule": "constant",
    "training.patience": 0,
    "training.keep": "best",
    "training.keep_by": [],
    "training.shuffle": "once",
    "training.drop_last": True,
    "training.modality_draw": "shared",
    "training.modality_granularity": "batch",
    "training.modality_part": "all",
    "training.modality_replacement": "zero",
    "training.modality_rescale": False,
    "training.modality_anneal_epochs": 0,
    "evaluate": [],
}
# The measures of a sweep, the digits they are shown with, and whether more is better.
MEASURES = {
    "tasks_per_hour": (0, True),
    "processor_s_per_task": (2, False),
    "memory_mib": (0, False),
    "first_result_s": (2, False),
}


@dataclass(frozen=True)
class Sweep:
    """A shipped sweep, cut to a few minutes."""

    name: str
    epochs: int
    seeds: int

    def text(self) -> str:
        """The sweep file."""
        text = (HERE.parent.parent / "sweeps" / f"{self.name}.yaml").read_text()
        for pattern, line in (
            (r"^  epochs: \d+", f"  epochs: {self.epochs}"),
            (r"^seeds: .*$", f"seeds: {list(range(self.seeds))}"),
        ):
            text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
            if count != 1:
                raise SystemExit(f"sweeps/{self.name}.yaml has {count} lines that match {pattern}, not one")
        return text


SWEEPS = (Sweep("demo", epochs=100, seeds=2), Sweep("utd-mhad", epochs=10, seeds=2))
SMALL = (Sweep("demo", epochs=2, seeds=1),)


def job(plan: dict, data: str) -> dict:
    """What the reference trains, from the output of `colearn plan --json`."""
    settings = {setting["path"]: setting["value"] for setting in plan["settings"]}
    for path, value in IMPLEMENTED.items():
        if settings[path] != value:
            raise SystemExit(f"the reference has no {path}: {settings[path]}, only {value}")
    levels = [parameter["values"] for parameter in plan["parameters"]]
    if any(not p["path"].startswith("modality_dropout.") for p in plan["parameters"]) or any(
        values != levels[0] for values in levels
    ):
        raise SystemExit("the reference has the same levels of modality dropout for every modality, and nothing else")
    points = [{"level": level, "unimodal": False} for level in levels[0]] + [{"level": 0, "unimodal": True}]
    tasks = [{**point, "seed": seed} for point in points for seed in plan["seeds"]]
    if (plan["configurations"], plan["tasks"]) != (len(points), len(tasks)):
        raise SystemExit(f"the reference has {len(points)} configurations, and the sweep {plan['configurations']}")
    return {"settings": settings, "tasks": tasks, "data": data}


class Comparison:
    """A sweep, with all that both programs need to train it."""

    def __init__(self, sweep: Sweep, programs: Path, python: str, data: Path, folder: Path):
        self.sweep, self.python = sweep, python
        self.colearn = str(programs / "colearn")
        self.folder = folder / sweep.name
        (self.folder / "data").mkdir(parents=True)
        self.data = self.folder / "data" / f"{sweep.name}.safetensors"
        self.data.symlink_to(data.resolve())
        self.file = self.folder / "sweep.yaml"
        self.file.write_text(sweep.text())
        plan = json.loads(self.output("plan", str(self.file), "--data-dir", str(self.data.parent), "--json"))
        self.job = self.folder / "job.json"
        self.job.write_text(json.dumps(job(plan, str(self.data))))
        self.tasks = plan["tasks"]
        self.runs = 0

    def output(self, *arguments: str) -> str:
        return subprocess.run([self.colearn, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def run(self, which: str) -> dict:
        """Trains the sweep once, in an empty folder."""
        self.runs += 1
        run = self.folder / str(self.runs)
        run.mkdir()
        return self.run_colearn(run) if which == COLEARN else self.run_ray(run)

    def run_colearn(self, run: Path) -> dict:
        state = str(run / "state")
        command = [self.colearn, "run", str(self.file), "--state", state, "--data-dir", str(self.data.parent)]
        cost = measured([*command, "--slots", str(SLOTS), "--threads", "1", "--device", "cpu"], run / "log")
        found = json.loads(self.output("results", self.sweep.name, "--state", state, "--format", "json"))
        tasks = [task for configuration in found["configurations"] for task in configuration["tasks"]]
        at = [datetime.datetime.fromisoformat(task["recorded_at"]).timestamp() for task in tasks]
        accuracies = [task["metrics"]["accuracy"] for task in tasks]
        return self.result(cost, min(at), accuracies, [task["seconds"] for task in tasks])

    def run_ray(self, run: Path) -> dict:
        out = run / "results.json"
        cost = measured([self.python, str(HERE / "sweep_reference.py"), str(self.job), str(out)], run / "log")
        # In the order of the sweep, as colearn's results are: configurations, then seeds.
        order = json.loads(self.job.read_text())["tasks"]
        tasks = sorted(json.loads(out.read_text()), key=lambda task: order.index(task["task"]))
        at = [task["finished_at"] for task in tasks]
        return self.result(cost, min(at), [task["accuracy"] for task in tasks], [task["seconds"] for task in tasks])

    def result(self, cost: process_tree.Cost, first: float, accuracies: list[float], seconds: list[float]) -> dict:
        if len(accuracies) != self.tasks:
            raise SystemExit(f"{self.sweep.name}: {len(accuracies)} of {self.tasks} tasks have a result")
        return {
            "tasks_per_hour": self.tasks / cost.wall * 3600,
            "processor_s_per_task": cost.processor / self.tasks,
            "memory_mib": cost.memory / 2**20,
            "first_result_s": first - cost.started,
            "wall_s": cost.wall,
            "processes": cost.processes,
            # The share of the slots' time in which a task was being trained.
            "training_share": sum(seconds) / (SLOTS * cost.wall),
            "accuracies": accuracies,
        }


def measured(command: list[str], log: Path) -> process_tree.Cost:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COLEARN_")}
    cost = process_tree.run(command, env=env, log=log)
    if cost.status != 0:
        end = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(command)}: ended with {cost.status}\n{end}")
    return cost


def agreement(ours: Sequence[float], theirs: Sequence[float], seeds: int) -> tuple[float, float]:
    """The difference of the mean accuracies, and its standard error.

    The tasks are in the order configurations, seeds. Those of one seed start from equal weights and see equal batches:
    only seeds are independent.
    """
    of_seed = [[statistics.fmean(values[seed::seeds]) for seed in range(seeds)] for values in (ours, theirs)]
    variances = [statistics.variance(means) / seeds if seeds > 1 else 0.0 for means in of_seed]
    return statistics.fmean(ours) - statistics.fmean(theirs), sum(variances) ** 0.5


def summary(name: str, seeds: int, results: dict[str, list[dict]]) -> dict:
    """Spreads over turns of every measure and of its ratio: how many times as good colearn is."""
    record: dict = {"sweep": name}
    for measure, (_, more_is_better) in MEASURES.items():
        values = {which: [turn[measure] for turn in turns] for which, turns in results.items()}
        ours, theirs = values[COLEARN], values[RAY]
        record[measure] = {which: spread(of) for which, of in values.items()}
        record[measure]["ratio"] = ratios(ours, theirs) if more_is_better else ratios(theirs, ours)
    record["training_share"] = {
        which: spread(turn["training_share"] for turn in turns) for which, turns in results.items()
    }
    ours, theirs = (results[which][0]["accuracies"] for which in (COLEARN, RAY))
    record["accuracy"] = {COLEARN: statistics.fmean(ours), RAY: statistics.fmean(theirs)}
    record["accuracy"]["difference"], record["accuracy"]["standard_error"] = agreement(ours, theirs, seeds)
    return record


def shown_summary(record: dict) -> str:
    """The tables of a sweep; the ratios are the last column."""
    rows = []
    for measure, (digits, _) in MEASURES.items():
        found = record[measure]
        both = [shown(found[which], digits) for which in (COLEARN, RAY)]
        rows.append([measure.replace("_", " "), *both, shown(found["ratio"])])
    share = [shown(tuple(100 * x for x in record["training_share"][which]), 0) for which in (COLEARN, RAY)]
    rows.append(["% of the slots' time in training", *share, ""])
    accuracy = record["accuracy"]
    rows.append(["mean accuracy of the tasks", f"{accuracy[COLEARN]:.3f}", f"{accuracy[RAY]:.3f}", ""])
    text = table([record["sweep"], COLEARN, RAY, "colearn is better, times"], rows)
    difference, error = accuracy["difference"], accuracy["standard_error"]
    text += f"\ndifference of the accuracies {difference:+.3f}, standard error {error:.3f}"
    if abs(difference) > max(3 * error, TOLERANCE):
        text += ": they do NOT agree; the other numbers do not compare the same training"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, required=True, help="the folder of colearn and its other programs")
    parser.add_argument("--python", required=True, help="a Python with torch 2.11, ray[tune] and safetensors")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--utd-mhad", type=Path, help="the file that datasets/prepare_utd_mhad.py wrote")
    parser.add_argument("--json", type=Path, help="write every measurement and the summary to this file, as JSON lines")
    parser.add_argument("--small", action="store_true", help="a few tasks of two epochs, to try the benchmark itself")
    a = parser.parse_args()
    if a.utd_mhad and not a.utd_mhad.is_file():
        raise SystemExit(f"{a.utd_mhad} is no file: datasets/README.md says how UTD-MHAD is prepared")
    records = Records(a.json)
    with tempfile.TemporaryDirectory(prefix="sweep") as name:
        folder = Path(name)
        data = {"demo": folder / "demo.safetensors", "utd-mhad": a.utd_mhad}
        subprocess.run([a.programs / "colearn", "data", "generate", "--out", data["demo"]], check=True)
        sweeps = [sweep for sweep in (SMALL if a.small else SWEEPS) if data[sweep.name]]
        if not a.utd_mhad:
            print("utd-mhad is left out: no prepared data set was given")
        python = os.path.abspath(a.python)
        compared = [Comparison(sweep, a.programs.resolve(), python, data[sweep.name], folder) for sweep in sweeps]
        results: dict[str, dict[str, list[dict]]] = {sweep.name: {COLEARN: [], RAY: []} for sweep in sweeps}
        for turn in range(a.turns):
            for comparison in compared:
                # Each is the first one in every second turn.
                for which in (COLEARN, RAY) if turn % 2 == 0 else (RAY, COLEARN):
                    result = comparison.run(which)
                    results[comparison.sweep.name][which].append(result)
                    records.add(turn=turn + 1, sweep=comparison.sweep.name, program=which, **result)
                    values = ", ".join(f"{m.replace('_', ' ')} {result[m]:.{MEASURES[m][0]}f}" for m in MEASURES)
                    print(f"turn {turn + 1}: {comparison.sweep.name}, {which}: {values}", flush=True)
    for sweep in sweeps:
        record = summary(sweep.name, sweep.seeds, results[sweep.name])
        records.add(summary=True, **record)
        epochs = f"{sweep.name}: 8 configurations, {sweep.seeds} seeds, {sweep.epochs} epochs, {SLOTS} tasks at a time"
        print(f"\n{epochs}\n{shown_summary(record)}")


if __name__ == "__main__":
    main()
