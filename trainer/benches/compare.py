"""Compares a training step of colearn with PyTorch's, in turns within one run, so that other load on the
machine affects both.

    python trainer/benches/compare.py [--python PYTHON_WITH_TORCH_2.11] [--turns 3] [--json FILE] [--only SUBJECT ...]

Without --python, `uv run` installs PyTorch as pytorch_step.py asks. CONTRIBUTING.md says what is counted.
"""

import argparse
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from subjects import SUBJECTS, Products, features, operations
from turns import Records, ratios, shown, spread, table

HERE = Path(__file__).resolve().parent
MEASURED = ("demo", "utd-mhad", "iemocap-bi-eflstm", "mosi-mfn", "utd-mhad-mfn")
# Members of the cohort, and of what a cohort is compared with.
MEMBERS = 5
# What others are compared with: one network, or as many as the cohort has, one after the other in one process.
PYTORCH, PYTORCH_MANY = "PyTorch", f"PyTorch, one after another of {MEMBERS}"


@dataclass(frozen=True)
class Row:
    """A measurement of a turn."""

    command: list[str]
    # The row that it is compared with.
    base: str
    # The matrix products of a step and member, if the row is colearn's.
    products: Products | None = None


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


def rows(name: str, bench: str, python: list[str], rounds: int) -> dict[str, Row]:
    """The measurements of one turn for a subject."""
    subject, many = SUBJECTS[name], ["--members", str(MEMBERS)]
    few = max(rounds // MEMBERS, 3)
    torch = [*python, "--model", name, "--rounds"]
    primary = f"0:{features(subject, 1)}"
    whole, alone = subject.products(), subject.products(present=1)

    def own(rounds: int, products: Products, *more: str) -> list[str]:
        listed = ",".join(f"{p.rows}x{p.inner}x{p.columns}x{times}" for p, times in products.items())
        return [bench, "--model", name, "--rounds", str(rounds), "--products", listed, *more]

    return {
        PYTORCH: Row([*torch, str(rounds)], PYTORCH),
        "PyTorch, fused Adam": Row([*torch, str(rounds), "--fused"], PYTORCH),
        PYTORCH_MANY: Row([*torch, str(few), *many], PYTORCH_MANY),
        "colearn": Row(own(rounds, whole), PYTORCH, whole),
        "colearn, others dropped": Row(own(rounds, alone, "--columns", primary), PYTORCH, alone),
        f"colearn, cohort of {MEMBERS}": Row(own(few, whole, *many), PYTORCH_MANY, whole),
    }


def check(name: str, results: list[dict]) -> None:
    """Fails if the two implementations did not train the same network on the same batches."""
    for what in ("parameters", "samples", "steps"):
        if len({result[what] for result in results}) != 1:
            raise SystemExit(f"{name}: the {what} differ: {results}")


def share(result: dict, count: int) -> float:
    """The share of a step's processor time that its products take at the rate of a large product."""
    milliseconds = count * result["members"] / result["gemm_gflops"] / 1e6
    return milliseconds / result["processor_ms"]


def share_of_own(result: dict) -> float:
    """The share of a step's processor time that its products take alone, each in its own shape."""
    return result["products_ms"] * result["members"] / result["processor_ms"]


def summary(name: str, wanted: dict[str, Row], results: dict[str, list[dict]]) -> list[dict]:
    """A record for each row of a subject: spreads over turns."""
    # The time of a step and member.
    times = {row: [r["processor_ms"] / r["members"] for r in turns] for row, turns in results.items()}
    records = []
    for row, turns in results.items():
        record = {"subject": name, "row": row, "processor_ms": spread(times[row])}
        record["wall_ms"] = spread(r["wall_ms"] / r["members"] for r in turns)
        record["times_as_fast"] = ratios(times[wanted[row].base], times[row])
        if products := wanted[row].products:
            count = operations(products)
            record["products_mflop"] = count / 1e6
            record["gemm_gflops"] = spread(r["gemm_gflops"] for r in turns)
            record["gemm_ms"] = spread(count / r["gemm_gflops"] / 1e6 for r in turns)
            record["gemm_share"] = spread(share(r, count) for r in turns)
            record["products_ms"] = spread(r["products_ms"] for r in turns)
            record["products_share"] = spread(share_of_own(r) for r in turns)
        records.append(record)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="a Python with torch 2.11")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=40, help="steps of each measurement of one network")
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=MEASURED, help="what is measured")
    parser.add_argument("--bench", help="the built bench; default: built by cargo")
    parser.add_argument("--json", type=Path, help="write every measurement and the summary to this file, as JSON lines")
    a = parser.parse_args()
    bench = a.bench or build()
    script = str(HERE / "pytorch_step.py")
    python = [a.python, script] if a.python else ["uv", "run", script]
    records = Records(a.json)
    wanted = {name: rows(name, bench, python, a.rounds) for name in a.only}
    results: dict[str, dict[str, list[dict]]] = {name: {} for name in a.only}
    for turn in range(a.turns):
        for name in a.only:
            for row, measured in wanted[name].items():
                result = measure(measured.command)
                results[name].setdefault(row, []).append(result)
                records.add(turn=turn + 1, subject=name, row=row, **result)
                each = result["processor_ms"] / result["members"]
                print(f"turn {turn + 1}: {name}, {row}: {each:.2f} ms", flush=True)
            check(name, [turns[-1] for turns in results[name].values()])
    print_summary([record for name in a.only for record in summary(name, wanted[name], results[name])], records)


def print_summary(summaries: list[dict], records: Records) -> None:
    lines = []
    for record in summaries:
        records.add(summary=True, **record)
        limits = []
        for limit in ("gemm", "products"):
            if f"{limit}_ms" in record:
                part = tuple(100 * share for share in record[f"{limit}_share"])
                limits += [f"{record[f'{limit}_ms'][1]:.2f}", f"{shown(part, 0)} %"]
            else:
                limits += ["", ""]
        name = f"{record['subject']}: {record['row']}"
        lines.append([name, shown(record["processor_ms"]), *limits, shown(record["times_as_fast"])])
    limits = ["at the large rate, ms", "share", "in their shapes, ms", "share"]
    print("\n" + table(["median (least to greatest) of the turns", "processor ms", *limits, "times as fast"], lines))


if __name__ == "__main__":
    main()
