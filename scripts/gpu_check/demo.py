"""The demo sweep through `colearn run`: the same table as on the CPU, and the same bits after kill -9."""

from __future__ import annotations

import math
import statistics

from .part import CheckError, Part
from .runs import Run, changed

METRICS = ("accuracy", "loss", "f_score")
# Largest relative difference between device and CPU after one epoch. Up to then they differ only by rounding.
FIRST_EPOCH = 1e-3
# Later the rounding grows, and in the worst case a task ends as with other random numbers. Then the means of two runs
# differ by more than this number of standard errors in about one of ten thousand tables.
STANDARD_ERRORS = 5.0
# An absolute difference that is always allowed, if the seeds agree on a metric: a few test samples may be classified
# differently.
FLOOR = 0.01


def run(part: Part) -> None:
    """Runs the part."""
    text = (part.place.bundle / "sweeps" / "demo.yaml").read_text()
    if part.place.on_gpu:
        sweep, cohort, device = (
            changed(text, checkpoint="{every_epochs: 2}"),
            20,
            ["--device", "cuda", "--threads", "2"],
        )
    else:
        sweep = changed(text, checkpoint="{every_epochs: 1}", epochs="4", seeds="[0, 1]")
        cohort, device = 8, ["--device", "cpu", "--slots", "1", "--threads", "1"]
    device += ["--max-cohort", str(cohort)]
    # Cores that the runs on the device leave free; these need one core.
    cores = max(part.place.cores - 3, 1)
    reference = Run(part, "reference", sweep, ["--device", "cpu", "--slots", str(cores), "--threads", "1"])
    undisturbed = Run(part, "undisturbed", sweep, device)
    interrupted = Run(part, "interrupted", sweep, device)
    reference.start()
    found = None
    with part.attempt("the demo sweep on the device"):
        undisturbed.start()
        # The next check needs the same time.
        found = undisturbed.finish(part.left() * 0.6)
        used = sorted({result["device"] for result in found.values()})
        right = all(name.startswith("cuda" if part.place.on_gpu else "cpu") for name in used)
        seconds = max(result["seconds"] for result in found.values())
        part.check(
            "the demo sweep on the device",
            right,
            f"{len(found)} tasks on {', '.join(used)}, a cohort took {seconds:.1f} s",
        )
    with part.attempt("bit-identical after kill -9"):
        interrupted.start()
        interrupted.wait_until(
            "a checkpoint of each member", lambda: interrupted.tasks_with_checkpoints() >= cohort, 60
        )
        interrupted.kill()
        interrupted.start()
        again = interrupted.finish(part.left())
        if found is None:
            raise CheckError("there is nothing to compare with: the undisturbed run failed")
        resumed = sum(bool(result["resumed_after"]) for result in again.values())
        same = equal_digests(found, again)
        detail = f"{same} of {len(found)} weights digests are equal; {resumed} tasks were continued from a checkpoint"
        part.check("bit-identical after kill -9", same == len(found) == len(again) and resumed > 0, detail)
    with part.attempt("the table is the CPU's"):
        expected = reference.finish(part.left())
        if found is None:
            raise CheckError("there is nothing to compare with: the run on the device failed")
        compare(part, expected, found)


def equal_digests(one: dict, other: dict) -> int:
    """Number of tasks that ended with the same weights, bit by bit."""
    return sum(
        bool(result["weights_digest"]) and result["weights_digest"] == other.get(task, {}).get("weights_digest")
        for task, result in one.items()
    )


def compare(part: Part, expected: dict, found: dict) -> None:
    """Two tables, task by task after the first epoch, and by the means in the table."""
    if expected.keys() != found.keys():
        raise CheckError(f"{len(expected)} tasks on the CPU, {len(found)} on the device: not the same ones")
    first = max(first_epoch_difference(expected[task], found[task]) for task in expected)
    part.note("first epoch, largest relative difference", value=first)
    part.check(
        "the first epoch's losses are the CPU's", first <= FIRST_EPOCH, f"largest relative difference {first:.1e}"
    )
    worst = (0.0, "")
    rows = []
    for configuration in sorted({task[0] for task in expected}):
        for metric in METRICS:
            pair = [
                [result["metrics"][metric] for task, result in results.items() if task[0] == configuration]
                for results in (expected, found)
            ]
            distance = standard_errors_apart(*pair)
            rows.append(
                [configuration, metric, *(round(statistics.fmean(values), 6) for values in pair), round(distance, 2)]
            )
            worst = max(worst, (distance, f"{metric} of {configuration}"))
    part.note("table", value={"columns": ["configuration", "metric", "cpu", "device", "standard errors"], "rows": rows})
    same = sum(expected[task]["metrics"] == found[task]["metrics"] for task in expected)
    detail = f"means at most {worst[0]:.1f} standard errors apart ({worst[1]}); "
    detail += f"{same} of {len(found)} tasks have the same metrics"
    part.check("the table is the CPU's", worst[0] <= STANDARD_ERRORS, detail)


def first_epoch_difference(expected: dict, found: dict) -> float:
    """The largest relative difference of two results' losses after their first epoch."""
    pairs = [(expected["history"][0][name], found["history"][0][name]) for name in ("train_loss", "valid_loss")]
    return max(abs(a - b) / max(abs(a), 1e-12) for a, b in pairs)


def standard_errors_apart(one: list[float], other: list[float]) -> float:
    """The distance of two means, in standard errors of their difference."""
    apart = max(abs(statistics.fmean(one) - statistics.fmean(other)) - FLOOR, 0.0)
    if apart == 0.0 or not math.isfinite(apart):
        return 0.0 if apart == 0.0 else math.inf
    spread = [statistics.variance(values) / len(values) if len(values) > 1 else 0.0 for values in (one, other)]
    error = math.sqrt(sum(spread))
    return apart / error if error > 0 else math.inf
