"""Tests of the benchmarks' arithmetic, and small runs of them if PyTorch and Ray are there.

    python -m unittest discover -s trainer/benches -p 'test_*.py'

`make .venv-bench/stamp` installs PyTorch and Ray. With the programs built (`make build`) and PROGRAMS=target/release,
the small sweep runs too.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import compare
import process_tree
import sweep
import turns
from subjects import SUBJECTS, BiEflstmSubject, MfnSubject, Modality, Product, features, operations

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent.parent / ".venv-bench" / "bin" / "python"
INSTALL = "`make .venv-bench/stamp` installs"


def installed(*modules: str) -> str | None:
    """A Python with these modules: that of the benchmarks, or this one."""
    find = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
    for python in [PYTHON] if PYTHON.exists() else [Path(sys.executable)]:
        if subprocess.run([python, "-c", find, *modules], check=False).returncode == 0:
            return str(python)
    return None


class Products(unittest.TestCase):
    def test_those_of_a_bi_eflstm_are_those_of_its_equations(self):
        subject = BiEflstmSubject((Modality(2), Modality(3)), outputs=7, samples=11, steps=13, hidden=17)
        rows, later, gates = 13 * 11, 12 * 11, 4 * 17
        # (rows, inner, columns, times): forward and gradient of the weights, also of the input above the first layer.
        products = [
            (rows, 5, gates, 2 * 2),
            (later, 17, gates, 2 * 3),
            (rows, 34, gates, 3),
            (later, 17, gates, 3),
            # The backward direction of the last layer: one time step, from no earlier state.
            (11, 34, gates, 3),
            (11, 34, 17, 3),
            (11, 17, 7, 3),
        ]
        self.assertEqual(operations(subject.products()), sum(2 * m * k * n * times for m, k, n, times in products))
        # The absent modality has three columns, of which there are two products in either direction.
        difference = operations(subject.products()) - operations(subject.products(present=1))
        self.assertEqual(difference, 2 * 2 * 2 * rows * 3 * gates)

    def test_those_of_an_mfn_are_those_of_its_equations(self):
        subject = MfnSubject(
            (Modality(2, 3), Modality(4, 5)),
            outputs=1,
            samples=7,
            steps=11,
            memory=13,
            nn1=17,
            nn2=19,
            gamma1=23,
            gamma2=29,
            out=31,
        )
        rows, later = 77, 70
        products = [
            (rows, 2, 12, 2),
            (rows, 4, 20, 2),
            (later, 3, 12, 3),
            (later, 5, 20, 3),
            (rows, 16, 17, 6),
            (rows, 16, 19, 3),
            (rows, 19, 13, 3),
            (rows, 16, 23, 3),
            (later, 13, 23, 3),
            (rows, 23, 13, 3),
            (rows, 16, 29, 3),
            (later, 13, 29, 3),
            (rows, 29, 13, 3),
            (7, 21, 31, 3),
            (7, 31, 1, 3),
        ]
        self.assertEqual(operations(subject.products()), sum(2 * m * k * n * times for m, k, n, times in products))
        difference = operations(subject.products()) - operations(subject.products(present=1))
        self.assertEqual(difference, 2 * 2 * rows * 4 * 20)

    def test_the_state_is_multiplied_step_by_step(self):
        found = SUBJECTS["utd-mhad"].products()
        # Both directions of the lower layer and one of the upper one, at all of 30 steps but the first.
        self.assertEqual(found[Product(15, 128, 512)], 3 * 29)
        self.assertEqual(found[Product(512, 29 * 15, 128)], 3)

    def test_sizes_are_those_of_the_sweeps(self):
        for name in compare.MEASURED:
            text = (HERE.parent.parent / "sweeps" / f"{name}.yaml").read_text()
            self.assertRegex(text, rf"\n  batch_size: {SUBJECTS[name].samples}\b", name)
        self.assertEqual(features(SUBJECTS["iemocap-bi-eflstm"]), 690)
        self.assertEqual(features(SUBJECTS["mosi-mfn"], 1), 300)


class Arithmetic(unittest.TestCase):
    def test_ratios_are_of_the_same_turn(self):
        self.assertEqual(turns.ratios([2, 9, 4], [1, 3, 4]), (1, 2, 3))
        with self.assertRaises(ValueError):
            turns.ratios([1, 2], [1])
        self.assertEqual(turns.shown((1, 2.345, 3)), "2.35 (1.00 to 3.00)")

    def test_a_share_is_the_time_of_the_products_in_that_of_the_step(self):
        result = {"members": 5, "gemm_gflops": 100.0, "processor_ms": 100.0}
        # Five times 10 ms in 100 ms.
        self.assertAlmostEqual(compare.share(result, 1_000_000_000), 0.5)

    def test_steps_are_compared_by_member_and_turn(self):
        wanted = compare.rows("utd-mhad", "bench", ["python"], 40)
        turn = lambda ms, members, **more: {"processor_ms": ms, "wall_ms": ms, "members": members, **more}
        own = {"gemm_gflops": 100.0, "products_ms": 5.0}
        results = {
            "PyTorch": [turn(30, 1), turn(60, 1)],
            compare.PYTORCH_MANY: [turn(160, 5), turn(330, 5)],
            "colearn": [turn(10, 1, **own), turn(15, 1, **own)],
            "colearn, cohort of 5": [turn(40, 5, **own), turn(66, 5, **own)],
        }
        found = {record["row"]: record for record in compare.summary("utd-mhad", wanted, results)}
        self.assertEqual(found["colearn"]["times_as_fast"], (3, 3.5, 4))
        self.assertEqual(found["colearn, cohort of 5"]["times_as_fast"], (4, 4.5, 5))
        self.assertEqual(found["colearn, cohort of 5"]["processor_ms"], (8, 10.6, 13.2))
        self.assertNotIn("gemm_share", found["PyTorch"])
        self.assertAlmostEqual(found["colearn"]["products_share"][0], 1 / 3)
        self.assertAlmostEqual(found["colearn, cohort of 5"]["products_share"][2], 25 / 40)
        least = operations(SUBJECTS["utd-mhad"].products()) / 100e9 * 1e3 / 15
        self.assertAlmostEqual(found["colearn"]["gemm_share"][0], least)

    def test_different_networks_are_not_compared(self):
        one = {"parameters": 5, "samples": 3, "steps": 2}
        compare.check("x", [one, one])
        with self.assertRaises(SystemExit):
            compare.check("x", [one, {**one, "parameters": 6}])

    def test_sweeps_are_compared_by_turn_and_the_ratio_says_how_much_better_colearn_is(self):
        values = {measure: 10 for measure in sweep.MEASURES} | {"training_share": 0.9, "accuracies": [0.5, 0.7]}
        record = sweep.summary(
            "demo",
            2,
            {
                sweep.COLEARN: [values, {**values, "tasks_per_hour": 40}],
                sweep.RAY: [{**values, "memory_mib": 30}, {**values, "processor_s_per_task": 5}],
            },
        )
        self.assertEqual(record["tasks_per_hour"]["ratio"], (1, 2.5, 4))
        self.assertEqual(record["memory_mib"]["ratio"], (1, 2, 3))
        self.assertEqual(record["processor_s_per_task"]["ratio"], (0.5, 0.75, 1))
        self.assertAlmostEqual(record["accuracy"]["difference"], 0)
        self.assertNotIn("NOT", sweep.shown_summary(record))
        record["accuracy"]["difference"] = 0.5
        self.assertIn("do NOT agree", sweep.shown_summary(record))

    def test_only_seeds_are_independent(self):
        # Two configurations of two seeds. The means of the seeds are 4 and 8, and 3 and 5.
        difference, error = sweep.agreement([1, 5, 7, 11], [0, 2, 6, 8], seeds=2)
        self.assertEqual(difference, 2)
        self.assertAlmostEqual(error, (8 / 2 + 2 / 2) ** 0.5)

    def test_the_reference_refuses_what_it_does_not_do(self):
        settings = [{"path": path, "value": value} for path, value in sweep.IMPLEMENTED.items()]
        levels = {"path": "modality_dropout.audio", "values": [0, 0.5]}
        plan = {"settings": settings, "parameters": [levels], "seeds": [0, 1], "configurations": 3, "tasks": 6}
        tasks = sweep.job(plan, "data")["tasks"]
        self.assertEqual(len(tasks), 6)
        self.assertIn({"level": 0.5, "unimodal": False, "seed": 1}, tasks)
        self.assertIn({"level": 0, "unimodal": True, "seed": 0}, tasks)
        others = [
            {**plan, "settings": [*settings[:-1], {**settings[-1], "value": [["audio"]]}]},
            {**plan, "parameters": [{"path": "training.learning_rate", "values": [0.1, 0.2]}]},
            {**plan, "parameters": [levels, {"path": "modality_dropout.video", "values": [0, 0.6]}]},
            {**plan, "configurations": 2, "tasks": 4},
        ]
        for other in others:
            with self.assertRaises(SystemExit):
                sweep.job(other, "data")

    def test_sweeps_are_cut(self):
        for one in (*sweep.SWEEPS, *sweep.SMALL):
            lines = one.text().splitlines()
            self.assertIn(f"seeds: {list(range(one.seeds))}", lines)
            self.assertTrue(any(line.startswith(f"  epochs: {one.epochs}") for line in lines))


# Works on two processors' worth of time: its own, a child's that it waits for, and an orphan's in a session of its own.
BUSY = """
import os, subprocess, sys, time
def work(seconds):
    while time.process_time() < seconds: pass
kind = sys.argv[1]
if kind == "parent":
    orphan = subprocess.Popen([sys.executable, __file__, "between"], start_new_session=True)
    orphan.wait()
    subprocess.run([sys.executable, __file__, "child"])
    work(0.3)
elif kind == "between":
    subprocess.Popen([sys.executable, __file__, "orphan"])
else:
    held = bytearray(os.urandom(1)) * (64 << 20 if kind == "orphan" else 1)
    work(0.6)
"""


@unittest.skipUnless(sys.platform == "linux", "needs /proc")
class ProcessTree(unittest.TestCase):
    def run_in_tree(self, code: str, *arguments: str, **more: float) -> dict:
        """Runs a program of Python's in a process of its own, because the measured tree is that of the process."""
        with tempfile.TemporaryDirectory() as folder:
            program, log = Path(folder) / "program.py", Path(folder) / "log"
            program.write_text(code)
            measure = (
                "import dataclasses, json, os, sys; from pathlib import Path; import process_tree as p; "
                "p.MEMORY = 0.1; "
                f"cost = p.run(sys.argv[2:], env=dict(os.environ), log=Path(sys.argv[1]), **{more!r}); "
                "print(json.dumps(dataclasses.asdict(cost)))"
            )
            command = [sys.executable, "-c", measure, str(log), sys.executable, str(program), *arguments]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE).stdout
            return json.loads(out)

    def test_orphans_count_in_time_and_memory(self):
        cost = self.run_in_tree(BUSY, "parent")
        self.assertEqual(cost["status"], 0)
        self.assertGreater(cost["processor"], 1.4)
        self.assertLess(cost["processor"], 3.0)
        self.assertGreater(cost["memory"], 64 << 20)
        self.assertLess(cost["memory"], 192 << 20)
        self.assertGreaterEqual(cost["processes"], 2)

    def test_a_command_past_its_limit_is_ended(self):
        begun = time.monotonic()
        cost = self.run_in_tree("import time; time.sleep(600)", limit=0.5)
        self.assertEqual(cost["status"], -9)
        self.assertLess(time.monotonic() - begun, 60)


class WithPyTorch(unittest.TestCase):
    def test_a_step_says_what_was_trained(self):
        python = installed("torch", "numpy")
        if not python:
            self.skipTest(f"{INSTALL} PyTorch")
        for name in ("utd-mhad", "utd-mhad-mfn"):
            command = [python, str(HERE / "pytorch_step.py"), "--model", name, "--rounds", "3", "--members", "2"]
            result = compare.measure(command)
            self.assertEqual((result["members"], result["samples"]), (2, SUBJECTS[name].samples))
            self.assertGreater(result["processor_ms"], 0)

    def test_a_small_sweep_by_both(self):
        python, programs = installed("torch", "ray", "safetensors"), os.environ.get("PROGRAMS")
        if not python:
            self.skipTest(f"{INSTALL} PyTorch and Ray")
        if not programs:
            self.skipTest("`make build` builds the programs; then set PROGRAMS=target/release")
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "lines"
            command = [sys.executable, str(HERE / "sweep.py"), "--programs", programs, "--python", python]
            subprocess.run([*command, "--small", "--turns", "1", "--json", str(lines)], check=True)
            records = [json.loads(line) for line in lines.read_text().splitlines()]
        self.assertEqual([record.get("program") for record in records], [sweep.COLEARN, sweep.RAY, None])
        for record in records[:2]:
            self.assertEqual(len(record["accuracies"]), 8)
            self.assertLess(record["first_result_s"], record["wall_s"])
            self.assertGreater(record["processor_s_per_task"], 0)
            self.assertGreater(record["memory_mib"], 50)


if __name__ == "__main__":
    unittest.main()
