"""Compares a training step of colearn with PyTorch's, in turns within one run, so that other load on the
machine affects both.

    python trainer/benches/compare.py [--python PYTHON_WITH_TORCH_2.11] [--turns 3]

Without --python, `uv run` installs PyTorch as pytorch_step.py asks.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The columns of the language, in both data sets.
LANGUAGE = "0:300"
# What a cohort is compared with: the same number of networks, trained one after the other in one process.
PYTORCH, PYTORCH_5 = "PyTorch", "PyTorch, one after another of 5"


def build() -> str:
    """Builds the bench and returns its path."""
    command = ["cargo", "bench", "-p", "colearn-trainer", "--bench", "step", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [m for m in map(json.loads, lines) if m.get("executable") and m["target"]["name"] == "step"]
    return built[-1]["executable"]


def measure(command: list[str]) -> dict:
    # The MKL mode that trainers run in. PyTorch runs without it and may be faster.
    mode = {} if "pytorch_step.py" in " ".join(command) else {"MKL_CBWR": "AUTO"}
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **mode}
    ).stdout
    return json.loads(output.splitlines()[-1])


def rows(model: str, bench: str, python: list[str]) -> dict[str, list[str]]:
    """The measurements of one turn for a model."""
    torch, own = [*python, "--model", model, "--rounds"], [bench, "--model", model, "--rounds"]
    return {
        PYTORCH: [*torch, "15"],
        "PyTorch, fused Adam": [*torch, "15", "--fused"],
        PYTORCH_5: [*torch, "5", "--members", "5"],
        "colearn": [*own, "15"],
        "colearn, language alone": [*own, "15", "--columns", LANGUAGE],
        "colearn, cohort of 5": [*own, "5", "--members", "5"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="a Python with torch 2.11")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--bench", help="the built bench; default: built by cargo")
    a = parser.parse_args()
    bench = a.bench or build()
    script = str(HERE / "pytorch_step.py")
    python = [a.python, script] if a.python else ["uv", "run", script]
    times = {}
    for turn in range(a.turns):
        for model in ("bi-eflstm", "mfn"):
            for name, command in rows(model, bench, python).items():
                result = measure(command)
                times.setdefault((model, name), []).append(result["median_ms"] / result["members"])
                print(f"turn {turn + 1}: {model}, {name}: {times[model, name][-1]:.1f} ms", flush=True)
    # A load that varies distorts the first ratio when a whole round is slow. The second ratio compares only what ran
    # side by side. Both are printed: if they differ, repeat the measurement on a quieter machine.
    print(f"\n{'':38}{'ms a step and member':>22}{'ratio of medians':>18}{'median of ratios (range)':>28}")
    for (model, name), values in times.items():
        base = times[model, PYTORCH_5 if name.endswith("of 5") else PYTORCH]
        ratios = sorted(value / other for value, other in zip(values, base))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        median = statistics.median(values)
        print(f"{model + ', ' + name:38}{median:22.1f}{median / statistics.median(base):18.2f}{spread:>28}")


if __name__ == "__main__":
    main()
