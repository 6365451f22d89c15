"""Recompute every statistic of a sweep from its exported results, with scipy alone.

    colearn results mine --format json > results.json
    python recompute.py results.json
    python recompute.py reports/mine                     # the folder of a report: also results.csv, results-long.csv

Nothing here is part of colearn: formulas and integrals are written anew, from docs/statistics.md. Prints the number of
values that agree, and every value that does not; then the exit code is 1. Needs scipy 1.13 or later, and
scipy_statistics.py beside it.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scipy_statistics import Checks, Group, Pairs, check_summary, holm


def replicate_of(task: dict[str, Any]) -> tuple[str, int]:
    return json.dumps(task["replicate"], sort_keys=True), task["seed"]


def label(key: tuple[str, int]) -> str:
    """The name of a replicate: `3`, or `fold=0 seed=3`."""
    values = [f"{path}={it if isinstance(it, str) else json.dumps(it)}" for path, it in json.loads(key[0]).items()]
    return " ".join([*values, f"seed={key[1]}"]) if values else str(key[1])


def done(row: dict[str, Any]) -> dict[tuple[str, int], dict[str, float]]:
    """The metrics of each replicate that has a result."""
    return {replicate_of(task): task["metrics"] for task in row["tasks"] if task["status"] == "done"}


def common(results: list[dict[str, float]]) -> list[str]:
    """The metrics that all results have."""
    return [name for name in (results[0] if results else []) if all(name in result for result in results)]


def check_document(checks: Checks, document: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in document["configurations"]}
    report = document["definition"]["report"]
    confidence, bounds = report["confidence"], document["bounds"]
    compared: dict[str, dict[str, list[tuple[str, Pairs]]]] = {}
    for row in rows.values():
        place = row["name"]
        results = done(row)
        failed = [task for task in row["tasks"] if task["status"] == "failed"]
        checks.equal(f"{place} n", row["n"], len(results))
        checks.equal(f"{place} expected", row["expected"], len(row["tasks"]))
        checks.equal(f"{place} failed", len(row["failed_seeds"]), len(failed))
        checks.equal(f"{place} metrics", sorted(row["metrics"]), sorted(common(list(results.values()))))
        for name, said in row["metrics"].items():
            values = [result[name] for result in results.values()]
            check_summary(checks, f"{place} {name}", said, values, confidence, bounds.get(name))
        if row["compared_with"] is None:
            checks.equal(f"{place} comparisons", row["comparisons"], {})
            continue
        baseline = done(rows[row["compared_with"]])
        both = [key for key in results if key in baseline]
        names = common([result for key in both for result in (results[key], baseline[key])])
        checks.equal(f"{place} comparisons", sorted(row["comparisons"]), sorted(names))
        for name in names:
            values = {key: (results[key][name], baseline[key][name]) for key in both}
            pairs = Pairs(row["comparisons"][name], values, confidence)
            groups = compared.setdefault(name, {})
            groups.setdefault(row["compared_with"], []).append((f"{place} {name}", pairs))
    for name, of_baseline in compared.items():
        check_family(checks, name, list(of_baseline.values()), question_of(document, name), document)


def question_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    report = document["definition"]["report"]
    return {
        "confidence": report["confidence"],
        "higher_is_better": document["directions"][name] == "higher",
        "margin": report["margin"].get(name),
        "simultaneous": report["adjustment"] == "simultaneous",
    }


def check_family(
    checks: Checks, name: str, groups: list[list[tuple[str, Pairs]]], question: dict[str, Any], document: dict[str, Any]
) -> None:
    everything = [it for group in groups for it in group]
    for test in ("t_p", "wilcoxon_p"):
        plain = [pairs.expected[test] for _, pairs in everything]
        corrected = holm([1.0 if p is None else p for p in plain])
        for (_, pairs), p, holms in zip(everything, plain, corrected, strict=True):
            pairs.expected[f"{test}_holm"] = None if p is None else holms
    low, high = document["bounds"].get(name, (None, None))
    most = None if low is None or high is None else high - low
    for said, members in zip(document["judged"][name], groups, strict=True):
        group = Group([pairs for _, pairs in members], len(everything), question["confidence"])
        group.check(checks, f"judged {name}", said)
        group.judge(question)
        for place, pairs in members:
            pairs.check(checks, place, most)
            verdict = getattr(pairs, "verdict", None)
            # Without one if more than the modalities differs, and for programs.
            if pairs.said["verdict"] is not None:
                checks.equal(f"{place} verdict", pairs.said["verdict"], verdict)


def check_chosen(checks: Checks, document: dict[str, Any]) -> None:
    """The best configuration by its mean, and at each replicate the one that is best on validation."""
    by, report, rows = document["choose_by"], document["definition"]["report"], document["configurations"]
    sign = 1 if document["directions"].get(by, "higher") == "higher" else -1
    means = [(sign * row["metrics"][by]["mean"], row["id"]) for row in rows if by in row["metrics"]]
    complete = means and len(means) == sum(row["n"] > 0 for row in rows)
    best = max(means, key=lambda it: it[0])[1] if complete else None
    checks.equal("best", document["best"], best)
    found = {}
    for baseline in rows if by is not None else ():
        candidates = [row for row in rows if row["compared_with"] == baseline["id"]]
        choices = choose(candidates, by, sign) if len(candidates) > 1 else None
        if choices:
            found[baseline["id"]] = choices
    checks.equal("chosen", [it["compared_with"] for it in document["chosen"]], list(found))
    for said in document["chosen"]:
        choices = found.get(said["compared_with"], {})
        place = f"chosen against {said['compared_with']}"
        checks.equal(f"{place} picks", said["picks"], {label(key): row["id"] for key, row in choices.items()})
        times = {row["id"]: 0 for row in rows}
        for row in choices.values():
            times[row["id"]] += 1
        checks.equal(f"{place} choices", {it["id"]: it["times"] for it in said["choices"]}, {k: n for k, n in times.items() if n})
        checks.equal(f"{place} n", said["n"], len(choices))
        results = {key: done(row)[key] for key, row in choices.items()}
        names = common(list(results.values()))
        checks.equal(f"{place} metrics", sorted(said["metrics"]), sorted(names))
        baseline = done(next(row for row in rows if row["id"] == said["compared_with"]))
        both = [key for key in results if key in baseline]
        for name in names:
            values = [result[name] for result in results.values()]
            bounds = document["bounds"].get(name)
            check_summary(checks, f"{place} {name}", said["metrics"][name], values, report["confidence"], bounds)
        for name, comparison in said["comparisons"].items():
            pairs = Pairs(comparison, {key: (results[key][name], baseline[key][name]) for key in both}, report["confidence"])
            for test in ("t_p", "wilcoxon_p"):
                pairs.expected[f"{test}_holm"] = pairs.expected[test]
            Group([pairs], 1, report["confidence"]).judge(question_of(document, name))
            low, high = document["bounds"].get(name, (None, None))
            pairs.check(checks, f"{place} {name}", None if low is None or high is None else high - low)
            if comparison["verdict"] is not None:
                checks.equal(f"{place} {name} verdict", comparison["verdict"], getattr(pairs, "verdict", None))


def choose(candidates: list[dict[str, Any]], by: str, sign: int) -> dict[tuple[str, int], dict[str, Any]] | None:
    """The best candidate at each replicate of which all outcomes are known; None if a result lacks the metric."""
    known = [{replicate_of(it): it for it in row["tasks"] if it["status"] in ("done", "failed")} for row in candidates]
    choices = {}
    for key in sorted(set().union(*known)):
        if not all(key in tasks for tasks in known):
            continue
        trained = [(row, tasks[key]["metrics"]) for row, tasks in zip(candidates, known, strict=True) if tasks[key]["metrics"]]
        if any(by not in metrics for _, metrics in trained):
            return None
        if trained:
            choices[key] = max(trained, key=lambda it: sign * it[1][by])[0]
    return choices


def check_classes(checks: Checks, document: dict[str, Any]) -> None:
    """The F1 of each class, from the confusion matrices."""
    for row in document["configurations"]:
        matrices = [np.array(task["confusion"]) for task in row["tasks"] if task["status"] == "done" and task["confusion"]]
        for at, said in enumerate(row["class_f1"]):
            right = [matrix[at, at] for matrix in matrices]
            total = [matrix[at].sum() + matrix[:, at].sum() for matrix in matrices]
            values = [float(2 * tp / n) if n else 0.0 for tp, n in zip(right, total, strict=True)]
            place = f"{row['name']} F1 of {said['class']}"
            check_summary(checks, place, said["f1"], values, document["definition"]["report"]["confidence"], (0, 1))
            checks.equal(f"{place} support", said["support"], int(sum(matrix[at].sum() for matrix in matrices)))


# -- the other files -------------------------------------------------------------------------------------------------

COLUMNS = {
    "difference": "mean_difference", "difference_ci_low": "ci_low", "difference_ci_high": "ci_high",
    "difference_std": "deviation", "difference_simultaneous_ci_low": "simultaneous_ci_low",
    "difference_simultaneous_ci_high": "simultaneous_ci_high", "pairs": "pairs", "effect_size": "effect_size",
    "correlation": "correlation", "adjusted_p": "adjusted_p", "t_p": "t_p", "t_p_holm": "t_p_holm",
    "welch_p": "welch_p", "wilcoxon_p": "wilcoxon_p", "wilcoxon_p_holm": "wilcoxon_p_holm",
    "pairs_needed": "pairs_needed",
}  # fmt: skip


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            yield {plain(name): plain(cell) for name, cell in record.items()}


def plain(text: str) -> str:
    """Text without the apostrophe that keeps a spreadsheet from evaluating it."""
    return re.sub(r"^'(?=\s*[=+@＝＋－＠-])", "", text)


def check_csv(checks: Checks, document: dict[str, Any], path: Path) -> None:
    rows = {row["id"]: row for row in document["configurations"]}
    for record in read_csv(path):
        row = rows.pop(record["id"])
        for metric in document["directions"]:
            summary, comparison = row["metrics"].get(metric, {}), row["comparisons"].get(metric, {})
            said = {key: summary.get(key) for key in ("mean", "std", "ci_low", "ci_high")}
            said |= {column: comparison.get(key) for column, key in COLUMNS.items()}
            for column, value in said.items():
                cell = record[f"{metric}_{column}"]
                checks.equal(f"{path.name}: {row['name']} {metric}_{column}", float(cell) if cell else None, value)
    checks.equal(f"{path.name}: rows that are missing", len(rows), 0)


def check_long(checks: Checks, document: dict[str, Any], path: Path) -> None:
    replicates = document["replicates"]
    found: dict[tuple[str, ...], str] = {}
    for record in read_csv(path):
        member = record["member"] if replicates else record["configuration"]
        name = record["metric"] + (f"@{record['modalities']}" if record["modalities"] else "")
        name = f"valid/{name}" if record["split"] == "valid" else name
        key = (record["configuration"], member, record["seed"], name)
        checks.equal(f"{path.name}: {key} once", key in found, False)
        found[key] = record["value"] or record["status"]
    for row in document["configurations"]:
        for task in row["tasks"]:
            key = (row["id"], task["configuration"], str(task["seed"]))
            for metric, value in (task["metrics"] or {"": task["status"]}).items():
                said = found.pop((*key, metric), None)
                checks.equal(f"{path.name}: {key} {metric}", float(said) if said and metric else said, value)
    checks.equal(f"{path.name}: further records", sorted(found), [])


def check(path: Path) -> Checks:
    """Checks a file of results, or the folder of a report."""
    checks = Checks()
    file = path / "results.json" if path.is_dir() else path
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{file} cannot be read as results ({error}): name a file of `colearn results --format json`, or a report")
    if document.get("schema") != 2:
        sys.exit(f"{file} has schema {document.get('schema', 1)}; this script reads schema 2")
    check_document(checks, document)
    check_chosen(checks, document)
    check_classes(checks, document)
    if path.is_dir():
        check_csv(checks, document, path / "results.csv")
        check_long(checks, document, path / "results-long.csv")
    return checks


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = 0
    for argument in arguments:
        checks = check(Path(argument))
        for line in checks.wrong:
            print(line)
        print(f"{argument}: {checks.agreed} values agree, {len(checks.wrong)} do not")
        wrong += len(checks.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
