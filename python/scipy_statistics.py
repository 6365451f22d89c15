"""The statistics of `docs/statistics.md`, written anew with scipy alone. `recompute.py` compares exports with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import optimize, special, stats

# Relative to the larger of both values; values of the size of rounding errors are equal.
TOLERANCE = 1e-9
NOISE = 1e-12
MIN_PAIRS = 3
# The largest ratio of the variances of two configurations that are pooled.
MAX_RATIO = 1000.0
MIN_PAIRS_SIGNED_RANK = 6
POWER = 0.8
MAX_NEEDED = 1000

NODES, WEIGHTS = special.roots_legendre(120)


class Checks:
    """Compares values, and remembers where they differ."""

    def __init__(self) -> None:
        self.agreed = 0
        self.wrong: list[str] = []

    def equal(self, place: str, said: Any, found: Any, scale: float = 0.0) -> None:
        if isinstance(said, (int, float)) and isinstance(found, (int, float)) and not isinstance(said, bool):
            same = math.isclose(said, found, rel_tol=TOLERANCE, abs_tol=NOISE * scale)
        else:
            same = said == found
        if same:
            self.agreed += 1
        else:
            self.wrong.append(f"{place}: {said!r} is exported, {found!r} is recomputed")


# -- distributions --------------------------------------------------------------------------------------------------


def two_sided(t: float, degrees: float) -> float:
    return float(min(1.0, 2 * stats.t.sf(abs(t), degrees)))


def normal_maximum(h: np.ndarray, rows: int) -> np.ndarray:
    """Probability that the largest of `rows` values |Y_i - Y_0| / sqrt(2) of standard normal Y is at least h."""
    z, h = 10 * NODES, math.sqrt(2) * np.asarray(h)[:, None]
    tails = special.ndtr(z - h) + special.ndtr(-z - h)
    with np.errstate(divide="ignore"):
        beyond = -np.expm1(rows * np.log1p(-np.minimum(tails, 1)))
    return 10 * beyond @ (WEIGHTS * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


@lru_cache(maxsize=None)
def deviations(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of S with their probabilities, where degrees * S^2 is chi-square distributed: Gauss-Legendre's points."""
    root = math.sqrt(degrees)
    # As far as the density matters, in twelve parts.
    edges = np.linspace(stats.chi.ppf(1e-40, degrees), stats.chi.isf(1e-40, degrees), 13) / root
    half = np.diff(edges)[:, None] / 2
    s = ((edges[:-1] + edges[1:])[:, None] / 2 + half * NODES).ravel()
    return s, stats.chi.pdf(s * root, degrees) * root * (half * WEIGHTS).ravel()


def over_deviations(degrees: float, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of a function of S."""
    s, probabilities = deviations(degrees)
    return float(np.sum(probabilities * of(s)))


def maximum_p(t: float, rows: int, degrees: float) -> float:
    """Dunnett's distribution: the largest of several |T| that share a baseline and a deviation."""
    if rows == 1:
        return two_sided(t, degrees)
    return over_deviations(degrees, lambda s: normal_maximum(abs(t) * s, rows))


@lru_cache(maxsize=None)
def critical(rows: int, degrees: float, confidence: float) -> float:
    single = float(stats.t.ppf(0.5 + confidence / 2, degrees))
    if rows == 1:
        return single
    bonferroni = float(stats.t.isf((1 - confidence) / 2 / rows, degrees))
    excess = lambda t: maximum_p(t, rows, degrees) - (1 - confidence)  # noqa: E731
    return float(optimize.brentq(excess, single, bonferroni, xtol=1e-13, rtol=1e-13))


def holm(p_values: list[float]) -> list[float]:
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - rank)))
        corrected[at] = largest
    return corrected


# -- one configuration ----------------------------------------------------------------------------------------------


def within(value: float, bounds: list[float | None] | None) -> float:
    low, high = bounds or (None, None)
    value = value if low is None else max(value, low)
    return value if high is None else min(value, high)


def check_summary(
    checks: Checks, place: str, said: dict[str, Any], values: list[float], confidence: float, bounds: Any
) -> None:
    n, mean = len(values), float(np.mean(values))
    scale = max(map(abs, values))
    checks.equal(f"{place} mean", said["mean"], mean, scale)
    if n == 1:
        for key in ("std", "ci_low", "ci_high"):
            checks.equal(f"{place} {key}", said[key], None)
        return
    std = float(np.std(values, ddof=1))
    checks.equal(f"{place} std", said["std"], std, scale)
    if std == 0:
        low, high = mean, mean
    else:
        low, high = stats.t.interval(confidence, n - 1, loc=mean, scale=std / math.sqrt(n))
    checks.equal(f"{place} ci_low", said["ci_low"], within(float(low), bounds), scale)
    checks.equal(f"{place} ci_high", said["ci_high"], within(float(high), bounds), scale)


class Pairs:
    """The pairs of one metric of one configuration, and what follows from them alone."""

    def __init__(self, said: dict[str, Any], values: dict[tuple[str, int], tuple[float, float]], confidence: float):
        self.said = said
        self.values = values
        ours, baseline = (np.array(side) for side in zip(*values.values(), strict=True))
        self.n = n = len(ours)
        self.scale = float(max(np.abs(ours).max(), np.abs(baseline).max()))
        differences = ours - baseline
        self.mean = float(differences.mean())
        std = float(differences.std(ddof=1)) if n > 1 else None
        self.std = 0.0 if std is not None and std <= NOISE * self.scale else std
        self.untested = "too_few_seeds" if n < MIN_PAIRS else None if self.std else "no_variance"
        tested = self.untested is None
        self.t_p = float(stats.ttest_rel(ours, baseline).pvalue) if tested else None
        self.expected: dict[str, Any] = {
            "pairs": n,
            "mean_difference": self.mean,
            "deviation": self.std,
            "effect_size": self.mean / self.std if self.std else None,
            "t_p": self.t_p,
            "untested": self.untested,
            "correlation": None,
            "welch_p": None,
            "wilcoxon_p": None,
        }
        varies = [float(np.abs(side - side.mean()).max()) > NOISE * self.scale for side in (ours, baseline)]
        if n >= MIN_PAIRS and all(varies):
            self.expected["correlation"] = float(stats.pearsonr(ours, baseline).statistic)
        if n >= MIN_PAIRS and any(varies):
            self.expected["welch_p"] = float(stats.ttest_ind(ours, baseline, equal_var=False).pvalue)
        if n >= MIN_PAIRS_SIGNED_RANK:
            # Differences that are apart by rounding alone are equal.
            grid = 10 * NOISE * self.scale
            rounded = np.round(differences / grid) * grid if grid else differences
            if np.any(rounded):
                self.expected["wilcoxon_p"] = float(stats.wilcoxon(rounded).pvalue)
            else:
                self.expected["wilcoxon_p"] = 1.0
        self.own = (None, None)
        if tested:
            half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * self.std / math.sqrt(n)
            self.own = (self.mean - half, self.mean + half)

    def check(self, checks: Checks, place: str, most: float | None) -> None:
        """Compares all expected values. `most` is the largest difference that the metric can have."""
        for key, found in self.expected.items():
            has_unit = key in ("mean_difference", "deviation")
            checks.equal(f"{place} {key}", self.said.get(key), found, self.scale if has_unit else 0.0)
        for prefix, ends in (("", self.own), ("simultaneous_", self.simultaneous)):
            for key, end in zip(("ci_low", "ci_high"), ends, strict=True):
                cut = end if end is None or most is None else max(-most, min(most, end))
                checks.equal(f"{place} {prefix}{key}", self.said.get(prefix + key), cut, self.scale)

    simultaneous: tuple[float | None, float | None] = (None, None)


# -- all comparisons of a metric -------------------------------------------------------------------------------------


def residual_variance(values: list[np.ndarray]) -> tuple[str, float | None, float | None, float | None]:
    """Reason, mean square, and the p-values of Bartlett's test and of the F-test of the baseline."""
    replicates = min((len(row) for row in values), default=0)
    if len(values) < 2 or replicates < MIN_PAIRS:
        return "too_few_replicates", None, None, None
    table = np.array(values)
    largest = float(np.abs(table).max())
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    squares = (residuals**2).sum(axis=1)
    constant = [(np.abs(np.diff(row)) <= NOISE * largest).all() for row in table]
    if any(constant) or squares.min() <= (NOISE * largest) ** 2:
        return "constant_results", None, None, None
    rows, degrees = len(values), replicates - 1
    bartlett = baseline = None
    if rows >= 3:
        bartlett = float(stats.bartlett(*residuals).pvalue)
        contrast = squares[0] * rows / (rows - 1)
        rest = squares.sum() - contrast
        baseline = float(stats.f.sf((contrast / degrees) / (rest / (degrees * (rows - 2))), degrees, degrees * (rows - 2)))
    spreads = ((table - table.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    if spreads.max() > MAX_RATIO * spreads.min():
        return "unequal_variances", None, bartlett, baseline
    level, baseline_level = (0.3, 0.3) if replicates == MIN_PAIRS else (0.1, 0.2)
    if bartlett is not None and bartlett <= level:
        return "unequal_variances", None, bartlett, baseline
    if baseline is not None and baseline <= baseline_level:
        return "baseline_varies", None, bartlett, baseline
    return "similar_variances", float(squares.sum() / ((rows - 1) * degrees)), bartlett, baseline


class Group:
    """The configurations that are compared with one baseline, in one metric."""

    def __init__(self, pairs: list[Pairs], total: int, confidence: float):
        self.pairs = pairs
        self.share = len(pairs) / total
        self.confidence = confidence**self.share
        tested = [it for it in pairs if it.untested is None]
        known = [key for key in tested[0].values if all(key in it.values for it in tested)] if tested else []
        values = [np.array([tested[0].values[key][1] for key in known])] if tested else []
        values += [np.array([it.values[key][0] for key in known]) for it in tested]
        self.replicates = len(known)
        self.degrees = self.mean_square = self.critical = self.bartlett = self.baseline = None
        if len(pairs) == 1:
            self.method, self.reason = "paired", "one_comparison"
        else:
            self.reason, self.mean_square, self.bartlett, self.baseline = residual_variance(values)
            self.method = "holm" if self.mean_square is None else "dunnett"
        self.pooled = max(len(values) - 1, 0)
        if self.mean_square is not None:
            self.degrees = float(self.pooled * (len(known) - 1))
            self.critical = critical(len(pairs), self.degrees, self.confidence)

    def check(self, checks: Checks, place: str, said: dict[str, Any]) -> None:
        found = {
            "compared": len(self.pairs), "replicates": self.replicates, "confidence": self.confidence,
            "method": self.method, "reason": self.reason, "critical": self.critical, "degrees": self.degrees,
            "mean_square": self.mean_square, "bartlett_p": self.bartlett, "baseline_p": self.baseline,
        }  # fmt: skip
        for key, value in found.items():
            checks.equal(f"{place} {key}", said[key], value)

    def limits(self, n: int) -> list[tuple[float, float]]:
        """Critical values with their degrees of freedom, for n pairs: a difference must exceed all of them."""
        rows, single = len(self.pairs), float(stats.t.ppf(0.5 + self.confidence / 2, n - 1))
        if self.method == "paired":
            return [(single, n - 1)]
        if self.method == "holm":
            return [(float(stats.t.isf((1 - self.confidence) / 2 / rows, n - 1)), n - 1)]
        degrees = float(self.pooled * (n - 1))
        return [(critical(rows, degrees, self.confidence), degrees), (single, n - 1)]

    def judge(self, question: dict[str, Any]) -> None:
        corrected = [1.0 if it.t_p is None else it.t_p for it in self.pairs]
        if self.method == "holm":
            corrected = holm(corrected)
        for it, p in zip(self.pairs, corrected, strict=True):
            it.expected |= dict.fromkeys(("method", "adjusted_p", "within_margin", "pairs_needed"))
            if it.untested is None:
                self.judge_one(it, p, question)

    def judge_one(self, it: Pairs, p: float, question: dict[str, Any]) -> None:
        root = math.sqrt(it.n)
        half, deviation = self.limits(it.n)[-1][0] * it.std / root, it.std
        if self.mean_square is not None:
            shared = math.sqrt(2 * self.mean_square)
            half = max(self.critical * shared / root, half)
            p = max(maximum_p(it.mean / (shared / root), len(self.pairs), self.degrees), p)
            deviation = max(shared, deviation)
        it.simultaneous = (it.mean - half, it.mean + half)
        adjusted = -math.expm1(math.log1p(-p) / self.share) if p < 1 else 1.0
        it.expected |= {"method": self.method, "adjusted_p": adjusted}
        simultaneous, margin = question["simultaneous"], question["margin"]
        low, high = it.simultaneous if simultaneous else it.own
        if margin is not None:
            it.expected["within_margin"] = -margin <= low and high <= margin
        if (adjusted if simultaneous else it.t_p) <= 1 - question["confidence"]:
            it.verdict = "PCL" if (it.mean > 0) == question["higher_is_better"] else "NCL"
        elif it.expected["within_margin"]:
            it.verdict = "equivalent"
        else:
            it.verdict = "inconclusive"
            limits = self.limits if simultaneous else lambda n: [(float(stats.t.ppf(0.5 + question["confidence"] / 2, n - 1)), n - 1)]
            self.check_needed(it, deviation if simultaneous else it.std, margin, limits)

    def check_needed(self, it: Pairs, deviation: float, margin: float | None, limits: Callable[[int], Any]) -> None:
        """The exported number decides with a probability of 80 %, and one pair less does not, within a thousandth."""
        said = it.said.get("pairs_needed")

        def power(n: int) -> float:
            error = deviation / math.sqrt(n)
            difference, room = abs(it.mean) / error, -math.inf if margin is None else margin / error
            differs = equivalent = 1.0
            for limit, degrees in limits(n):
                s, probabilities = deviations(degrees)
                beyond = special.ndtr(difference - limit * s) + special.ndtr(-limit * s - difference)
                left = np.maximum(room - limit * s, 0.0)
                inside = special.ndtr(left - difference) - special.ndtr(-left - difference)
                differs = min(differs, float(np.sum(probabilities * beyond)))
                equivalent = min(equivalent, float(np.sum(probabilities * inside)))
            return max(differs, equivalent)

        if said is None:
            decides = it.n < MAX_NEEDED and power(MAX_NEEDED) >= POWER + 1e-3
        else:
            decides = power(said) < POWER - 1e-3 or (said - 1 > it.n and power(said - 1) >= POWER + 1e-3)
        it.expected["pairs_needed"] = f"another number than {said}" if decides else said
