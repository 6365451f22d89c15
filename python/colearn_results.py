"""Results of colearn as rows and data frames; docs/results.md describes every column.

    import colearn_results                                        # needs nothing; pandas for the frames

    frame = colearn_results.read_results("results.json")          # from `colearn results mine --format json`
    frame = colearn_results.read_long("results-long.csv")         # one row per configuration, seed and metric
"""

from __future__ import annotations

import csv
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

__all__ = ["DatasetError", "long_rows", "read_long", "read_results", "results_rows"]


class DatasetError(Exception):
    """An error that the user has to fix; the message says where and how, with one line per mistake."""


def as_json(items: Sequence[Any]) -> str:
    return json.dumps(list(items), separators=(",", ":"), ensure_ascii=False)


# An apostrophe keeps a spreadsheet from evaluating a text.
_APOSTROPHE = re.compile(r"^'(?=\s*[=+@＝＋－＠-])")
_FIXED = ("id", "name", "baseline", "n", "expected", "state", "warning")
# The numbers of a metric: the suffix of the column, and the key in JSON.
_NUMBERS = {"mean": "mean", "std": "std", "ci_low": "ci_low", "ci_high": "ci_high"}
_COMPARED = {
    "difference": "mean_difference", "difference_ci_low": "ci_low", "difference_ci_high": "ci_high", "pairs": "pairs",
    "effect_size": "effect_size", "t_p": "t_p", "t_p_holm": "t_p_holm", "wilcoxon_p": "wilcoxon_p",
    "wilcoxon_p_holm": "wilcoxon_p_holm", "verdict": "verdict",
}  # fmt: skip
# Those that files of schema 1 do not have.
_COMPARED_2 = {
    "difference_std": "deviation", "difference_simultaneous_ci_low": "simultaneous_ci_low",
    "difference_simultaneous_ci_high": "simultaneous_ci_high", "correlation": "correlation", "adjusted_p": "adjusted_p",
    "welch_p": "welch_p", "pairs_needed": "pairs_needed", "method": "method",
}  # fmt: skip
_METHODS = {"paired": "paired t", "dunnett": "Dunnett", "holm": "Holm"}
_LONG = ("configuration", "name", "seed", "value")
_LONG_FIXED = ("configuration", "name", "member", "seed", "metric", "split", "modalities", "value", "status", "reason",
               "epoch", "curve")  # fmt: skip


def read_results(path: str | os.PathLike[str]) -> pandas.DataFrame:
    """The output of `colearn results NAME --format json` (or csv) as a data frame with one row per configuration.

    Columns: id, the swept parameters by their names, baseline, n (seeds with a result), expected, state; and for each
    metric, such as accuracy: accuracy_mean, _std, _ci_low and _ci_high (the interval), and the comparison with the
    baseline: _difference, _difference_ci_low, _difference_ci_high, _pairs, _effect_size, _t_p, _t_p_holm, _wilcoxon_p,
    _wilcoxon_p_holm and _verdict; since schema 2 also _difference_std, _difference_simultaneous_ci_low and _high,
    _correlation, _adjusted_p, _welch_p, _pairs_needed and _method. docs/results.md has their meanings. A parameter with the name of another column is parameter.NAME. Lists are text, such
    as [64,64], so that rows can be grouped by them. Configurations that differ in the sweep's `report.replicates` alone,
    such as folds, are one row: n and expected count its results over folds and seeds.

    Warnings of colearn, for example about missing seeds, become Python warnings. Needs pandas; `results_rows` returns
    the same rows as dictionaries without it.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("read_results needs pandas (pip install pandas); use results_rows without it") from error
    return pandas.DataFrame(results_rows(path))


def results_rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of `read_results` as dictionaries with the same keys; missing values are None."""
    text = Path(path).read_text(encoding="utf-8")
    if not text.lstrip().startswith("{"):
        return _csv_rows(text, path)
    try:
        document = json.loads(text)
        configurations = document["configurations"]
    except (ValueError, KeyError) as error:
        raise DatasetError(f"{path} is not the output of `colearn results --format json` ({error})") from error
    for warning in document.get("warnings", []):
        warnings.warn(warning, stacklevel=2)
    settings = list(dict.fromkeys(name for row in configurations for name in row["values"]))
    metrics = list(dict.fromkeys(name for row in configurations for name in row["metrics"]))
    is_old = document.get("schema", 1) < 2
    rows = []
    for given in configurations:
        row = {"id": given["id"]}
        if "name" in given:
            row["name"] = given["name"]
        for name in settings:
            value = given["values"].get(name)
            taken = name in _FIXED or any(name.startswith(f"{metric}_") for metric in metrics)
            row[f"parameter.{name}" if taken else name] = as_json(value) if isinstance(value, list) else value
        row.update({name: given[name] for name in ("baseline", "n", "expected", "state")})
        for metric in metrics:
            measured = given["metrics"].get(metric) or {}
            compared = given["comparisons"].get(metric) or {}
            row.update({f"{metric}_{name}": measured.get(key) for name, key in _NUMBERS.items()})
            row.update({f"{metric}_{name}": compared.get(key) for name, key in _COMPARED.items()})
            if is_old:
                continue
            row.update({f"{metric}_{name}": compared.get(key) for name, key in _COMPARED_2.items()})
            row[f"{metric}_method"] = _METHODS.get(compared.get("method"))
            if compared.get("untested"):
                row[f"{metric}_verdict"] = compared["untested"].replace("_", " ")
        rows.append(row)
    return rows


def read_long(path: str | os.PathLike[str], history: bool = False) -> pandas.DataFrame:
    """Results in long format as a data frame: one row per configuration, seed and metric.

    Reads results-long.csv or history-long.csv of a report, the output of `colearn results NAME --per-seed` or
    `--history` with `--format csv` or `json`, and results.json, of which `history` takes the curves.

    Columns: configuration (its id), name, the settings that differ, seed; then metric, split (test or valid),
    modalities (empty for the primary modality alone), value, status and reason; or epoch, curve and value. With
    replicates, such as folds, their values and member precede seed. A task without a result has one row: its status is
    failed or missing, and its value is missing.

        frame = colearn.read_long("results-long.csv")
        frame.query("metric == 'accuracy' and split == 'test'").pivot(index="seed", columns="name", values="value")

    Needs pandas; `long_rows` returns the same rows as dictionaries without it.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("read_long needs pandas (pip install pandas); use long_rows without it") from error
    return pandas.DataFrame(long_rows(path, history))


def long_rows(path: str | os.PathLike[str], history: bool = False) -> list[dict[str, Any]]:
    """The rows of `read_long` as dictionaries with the same keys; missing values are None."""
    text = Path(path).read_text(encoding="utf-8")
    wrong = DatasetError(
        f"{path} is neither results in long format (`colearn results NAME --per-seed --format csv`) nor the output of "
        "`colearn results NAME --format json` of a version with schema 2"
    )
    if not text.lstrip().startswith("{"):
        reader = csv.DictReader(text.splitlines())
        if not set(_LONG) <= set(reader.fieldnames or ()):
            raise wrong
        # These are text, whatever they look like.
        texts = ("configuration", "name", "member", "metric", "split", "modalities", "status", "reason", "curve")
        return [
            {
                _APOSTROPHE.sub("", name): (_APOSTROPHE.sub("", cell) or None) if name in texts else _value(cell)
                for name, cell in given.items()
            }
            for given in reader
        ]
    try:
        document = json.loads(text)
    except ValueError as error:
        raise wrong from error
    if "records" in document:
        return [{name: _plain(given[name]) for name in document["columns"]} for given in document["records"]]
    if document.get("schema", 1) < 2 or "configurations" not in document:
        raise wrong
    return list(_unfolded(document, history))


def _plain(value: Any) -> Any:
    return as_json(value) if isinstance(value, list) else value


def _unfolded(document: Mapping[str, Any], history: bool) -> Iterable[dict[str, Any]]:
    """The long format of a whole document."""
    configurations = document["configurations"]
    settings = list(dict.fromkeys(name for row in configurations for name in row["values"]))
    settings.sort(key=lambda name: name not in document["definition"]["parameters"])
    metrics = list(document["directions"])
    replicates = document["replicates"]
    of_networks = document["definition"]["needs"]["trainer"] == "networks"

    def column(name: str) -> str:
        taken = name in _FIXED or name in _LONG_FIXED or any(name.startswith(f"{metric}_") for metric in metrics)
        return f"parameter.{name}" if taken else name

    for row in configurations:
        common = {"configuration": row["id"], "name": row["name"]}
        common.update({column(name): _plain(row["values"].get(name)) for name in settings})
        for task in row["tasks"]:
            own = dict(common)
            if replicates:
                own.update({column(name): _plain(task["replicate"].get(name)) for name in replicates})
                own["member"] = task["configuration"]
            own["seed"] = task["seed"]
            if history:
                for epoch in task["history"] or ():
                    curves = {name: value for name, value in epoch.items() if name != "epoch"}
                    for name in sorted(curves):
                        yield {**own, "epoch": epoch["epoch"], "curve": name, "value": curves[name]}
                continue
            end = {"status": task["status"], "reason": task["reason"]}
            if task["status"] != "done":
                yield {**own, "metric": None, "split": None, "modalities": None, "value": None, **end}
                continue
            shown = [name for name in document["definition"]["report"]["metrics"] if name in task["metrics"]]
            for name in [*shown, *(name for name in sorted(task["metrics"]) if name not in shown)]:
                metric, split, modalities = name, None, None
                if of_networks:
                    split = "valid" if name.startswith("valid/") else "test"
                    metric, _, modalities = name.removeprefix("valid/").partition("@")
                value = task["metrics"][name]
                yield {**own, "metric": metric, "split": split, "modalities": modalities or None, "value": value, **end}


def _csv_rows(text: str, path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    reader = csv.DictReader(text.splitlines())
    if not reader.fieldnames or reader.fieldnames[0] != "id" or "n" not in reader.fieldnames:
        raise DatasetError(f"{path} is not the output of `colearn results --format json` or `--format csv`")
    rows = []
    for given in reader:
        row = {_APOSTROPHE.sub("", name): _value(cell) for name, cell in given.items() if name != "warning"}
        # An id may consist of digits only, but it is text.
        row["id"] = given["id"]
        # Files of earlier versions have no names of configurations; a program's parameter may be called so.
        if reader.fieldnames[1] == "name":
            row["name"] = _APOSTROPHE.sub("", given["name"])
        if given.get("warning"):
            warnings.warn(f"{given['id']}: {given['warning']}", stacklevel=3)
        rows.append(row)
    return rows


def _value(cell: str) -> Any:
    if cell in ("", "null"):
        return None
    if cell in ("true", "false"):
        return cell == "true"
    # Python itself takes more texts for numbers, such as nan and 1_000.
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", cell):
        return float(cell) if re.search("[.eE]", cell) else int(cell)
    return _APOSTROPHE.sub("", cell)
