"""Draw a metric against the level of modality dropout, as the paper's Figure 5: means with bands over the seeds, and
the unimodal baseline as a line with a band of its own.

    colearn results mine --per-seed --format csv > mine.csv
    python figure5.py mine.csv --out mine.svg

Reads the long format (CSV, or Parquet: docs/results.md), one file for each panel. Needs pandas and matplotlib:
python/requirements.txt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PREFIX = "modality_dropout."
# Blue for the sweep and gray for the baseline; they differ in lightness too.
SWEEP, BASELINE = "#1f5fa8", "#6b6b6b"


class FigureError(Exception):
    """What the user has to change; the message says where."""


def read(path: str, metric: str) -> pandas.DataFrame:
    """The values of the metric on the test split with the primary modality alone: configuration, seed, settings."""
    import pandas

    frame = pandas.read_parquet(path) if path.endswith(".parquet") else pandas.read_csv(path)
    if not {"configuration", "seed", "metric", "value", "status"} <= set(frame.columns):
        raise FigureError(f"{path}: this is not the long format: colearn results NAME --per-seed --format csv")
    plain = frame["modalities"].isna() | (frame["modalities"] == "")
    found = frame[(frame["metric"] == metric) & (frame["split"] != "valid") & plain & (frame["status"] == "done")]
    if found.empty:
        names = ", ".join(sorted(frame["metric"].dropna().unique()))
        raise FigureError(f"{path}: there is no result in the metric `{metric}`; it has {names}")
    return found.assign(value=found["value"].astype(float))


def level_column(frame: pandas.DataFrame, path: str) -> str:
    """The swept modality; of several that always have the same level, the first."""
    swept = [name for name in frame.columns if name.startswith(PREFIX) and frame[name].nunique() > 1]
    if not swept:
        raise FigureError(f"{path}: no modality has several levels of dropout")
    first = frame[swept[0]]
    for other in swept[1:]:
        if not frame[other].fillna(-1).eq(first.fillna(-1)).all():
            raise FigureError(f"{path}: {swept[0]} and {other} have different levels: a line shows one; name it with --level")
    return swept[0]


def is_baseline(frame: pandas.DataFrame) -> pandas.Series:
    """Whether a row is of a unimodal network."""
    import pandas

    if "unimodal" not in frame.columns:
        return pandas.Series(False, index=frame.index)
    return frame["unimodal"].astype(str).str.lower().isin(["true", "1", "1.0"])


def summary(values: pandas.Series, band: str) -> tuple[float, float, float, int]:
    """The mean, the ends of the band, and the number of seeds. `sd`: sample standard deviation; `range`: all seeds."""
    mean = float(values.mean())
    if band == "range":
        return mean, float(values.min()), float(values.max()), len(values)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return mean, mean - deviation, mean + deviation, len(values)


def draw_panel(axes: Axes, frame: pandas.DataFrame, level: str, metric: str, band: str, title: str) -> None:
    """One sweep: levels from left to right, the baseline across."""
    others = frame[~is_baseline(frame)].dropna(subset=[level])
    others = others.assign(level=others[level].astype(float))
    repeated = others.groupby(["level", "seed"])["configuration"].nunique()
    if (repeated > 1).any():
        raise FigureError(f"{title}: several configurations have the same {level} and seed: filter the file first")
    points = [(at, *summary(group["value"], band)) for at, group in others.groupby("level")]
    levels, means, low, high, counts = (list(column) for column in zip(*points, strict=True))
    axes.fill_between(levels, low, high, color=SWEEP, alpha=0.2, linewidth=0)
    count = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    axes.plot(levels, means, color=SWEEP, marker="o", label=f"multimodal, {count} seeds")
    unimodal = frame[is_baseline(frame)]
    if not unimodal.empty:
        mean, below, above, seeds = summary(unimodal["value"], band)
        axes.axhspan(below, above, color=BASELINE, alpha=0.15, linewidth=0)
        axes.axhline(mean, color=BASELINE, linestyle="--", label=f"unimodal, {seeds} seeds")
    axes.set_xlabel(f"dropout of {level.removeprefix(PREFIX)}")
    axes.set_ylabel(metric)
    axes.set_title(title)
    axes.legend(frameon=False)


def figure(paths: Sequence[str], metric: str, band: str, level: str | None, titles: Sequence[str]) -> Figure:
    """The figure with one panel for each file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.2 * len(paths), 3.2), layout="constrained")
    FigureCanvasAgg(drawn)
    for index, path in enumerate(paths):
        frame = read(path, metric)
        column = f"{PREFIX}{level}" if level else level_column(frame, path)
        if column not in frame.columns:
            raise FigureError(f"{path}: there is no column `{column}`")
        title = titles[index] if index < len(titles) else Path(path).stem
        draw_panel(drawn.add_subplot(1, len(paths), index + 1), frame, column, metric, band, title)
    words = {"sd": "mean ± sample standard deviation over seeds", "range": "mean, lowest and highest seed"}
    drawn.supxlabel(words[band], fontsize="small")
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="results in the long format, one file for each panel")
    parser.add_argument("--metric", default="accuracy", help="the metric to show [default: accuracy]")
    parser.add_argument("--level", metavar="MODALITY", help="the modality whose level is shown [default: the swept one]")
    parser.add_argument("--band", choices=["sd", "range"], default="sd", help="what the bands show [default: sd]")
    parser.add_argument("--title", action="append", default=[], help="the title of a panel; repeat it for each")
    parser.add_argument("--out", default="figure5.svg", help="file to write: .svg, .pdf or .png [default: figure5.svg]")
    options = parser.parse_args(arguments)
    try:
        drawn = figure(options.files, options.metric, options.band, options.level, options.title)
        drawn.savefig(options.out, dpi=200)
    except ImportError as error:
        print(f"error: {error.name} is missing: pip install -r python/requirements.txt", file=sys.stderr)
        return 1
    except (FigureError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
