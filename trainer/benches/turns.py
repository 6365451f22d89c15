"""What both comparisons share: ratios over turns, and how they are printed."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """The least, the median and the greatest value."""
    ordered = sorted(values)
    return ordered[0], statistics.median(ordered), ordered[-1]


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """The spread of the ratios of what ran in the same turn."""
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} turns cannot be compared with {len(denominators)}")
    return spread(a / b for a, b in zip(numerators, denominators))


def shown(values: tuple[float, float, float], digits: int = 2) -> str:
    """A spread as `median (least to greatest)`."""
    least, median, greatest = values
    return f"{median:.{digits}f} ({least:.{digits}f} to {greatest:.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text: the first column begins at the left, the others end at the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    aligned = lambda row: [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
    return "\n".join("  ".join(aligned(row)).rstrip() for row in [head, *rows])


class Records:
    """Measurements as JSON lines, in a file if there is one."""

    def __init__(self, path: Path | None):
        self.path = path
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def add(self, **record: object) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
