"""Tests of gpu-check: of its runner and of the computations of its parts. They need no GPU, torch or bundle."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import types
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from gpu_check import command, demo, faults, host, inventory, parity, probe  # noqa: E402
from gpu_check import processes, record, runs, sizes, steps  # noqa: E402
from gpu_check.part import CheckError, Part, Place, TimeUp  # noqa: E402
from gpu_check.record import Record  # noqa: E402
from gpu_check.runner import Planned, run_all  # noqa: E402

PARTS = {
    "good": """
        def run(part):
            part.note("path", "to", value=7)
            part.check("it is so", True, "indeed")
            part.leave_out("something", "it is not there")
    """,
    "wrong": """
        def run(part):
            with part.attempt("first"):
                raise ValueError("not a number")
            part.check("second", True)
    """,
    "raises": """
        from gpu_check.part import CheckError
        def run(part):
            part.check("before", True)
            raise CheckError("there is none")
    """,
    "crashes": """
        import os, signal
        def run(part):
            part.note("before", value=1)
            os.kill(os.getpid(), signal.SIGSEGV)
    """,
    "hangs": """
        import time
        def run(part):
            part.note("before", value=2)
            time.sleep(600)
    """,
    "leaves": """
        import subprocess
        def run(part):
            # A shell that ends at once leaves its child behind, in a session of its own.
            script = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
            said = subprocess.run(script, shell=True, capture_output=True, text=True)
            part.note("left", value=int(said.stdout))
    """,
    "reads": """
        import json, os, time
        def run(part):
            part.note("mine", value=3)
            while part.left() > 0.5:
                parts = json.load(open(os.environ["RECORD"]))["parts"]
                if parts[-1]["findings"] == {"mine": 3} and parts[-1]["outcome"] == "running":
                    return part.check("the record has it already", True)
                time.sleep(0.01)
            part.check("the record has it already", False)
    """,
}


def programs(folder: Path, **scripts: str) -> None:
    """Executable scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text("#!/bin/sh\n" + textwrap.dedent(text))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "out.json"

    def place(self, device: str = "cpu", seconds: float = 60.0) -> Place:
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return Place(
            bundle=self.folder / "bundle", work=work, device=device, python=sys.executable, libraries=["/nowhere"],
            cores=2, deadline=time.monotonic() + seconds,
        )  # fmt: skip


class RunnerTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        for name, text in PARTS.items():
            (self.folder / f"part_{name}.py").write_text(textwrap.dedent(text))
        path = mock.patch.dict(os.environ, {"PYTHONPATH": str(self.folder), "RECORD": str(self.out)})
        path.start()
        self.addCleanup(path.stop)

    def run_parts(self, *names: str, seconds: float = 20.0, whole: float = 100.0) -> list[dict]:
        parts = [Planned(f"part_{name}", name, seconds) for name in names]
        found = Record(self.out, {"device": "cpu"})
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.passed = run_all(parts, self.place(), found, whole)
        return json.loads(self.out.read_text())["parts"]

    def test_a_part_that_passes(self) -> None:
        (part,) = self.run_parts("good")
        self.assertTrue(self.passed)
        self.assertEqual(part["outcome"], "passed")
        self.assertEqual(part["findings"], {"path": {"to": 7}})
        self.assertEqual([check["ok"] for check in part["checks"]], [True, None])

    def test_what_fails_crashes_or_hangs_does_not_stop_the_next(self) -> None:
        # The last part has the time that the others left, and a part that hangs uses only its own seconds.
        parts = self.run_parts("wrong", "raises", "crashes", "hangs", "good", seconds=2.0, whole=13.0)
        self.assertFalse(self.passed)
        outcomes = [part["outcome"] for part in parts]
        self.assertEqual(outcomes, ["failed", "failed", "failed", "timed out", "passed"])
        wrong, raises, crashes, hangs, _ = parts
        self.assertEqual([check["ok"] for check in wrong["checks"]], [False, True])
        self.assertIn("ValueError: not a number", wrong["checks"][0]["detail"])
        self.assertEqual(raises["error"], "there is none")
        self.assertEqual((crashes["findings"], crashes["error"]), ({"before": 1}, "its process ended with signal 11"))
        self.assertEqual(hangs["findings"], {"before": 2})

    def test_no_part_takes_the_time_of_those_after_it(self) -> None:
        began = time.monotonic()
        hangs, good = self.run_parts("hangs", "good", seconds=4.0, whole=9.0)
        self.assertEqual((hangs["outcome"], good["outcome"]), ("timed out", "passed"))
        self.assertLess(hangs["limit"], 2.5, "9 s less the grace and the 4 s of the next")
        self.assertLess(time.monotonic() - began, 9.0)

    def test_parts_without_time_are_not_run(self) -> None:
        (part,) = self.run_parts("good", whole=1.0)
        self.assertEqual(part["outcome"], record.NOT_RUN)
        self.assertFalse(self.passed)

    def test_processes_that_a_part_leaves_are_ended(self) -> None:
        # A process that adopts orphans keeps doing so, so this needs another process than the test's.
        left, good = self.run_apart("leaves", "good")
        self.assertEqual(good["outcome"], "passed")
        self.assertFalse(Path(f"/proc/{left['findings']['left']}").exists())
        self.assertEqual(left["findings"]["processes that it left"], ["sleep"])

    def run_apart(self, *names: str) -> list[dict]:
        process = self.start(*names)
        process.wait(60)
        return json.loads(self.out.read_text())["parts"]

    def start(self, *names: str) -> subprocess.Popen:
        code = f"""
            import sys, time
            from pathlib import Path
            sys.path.insert(0, {str(HERE)!r})
            from gpu_check import command
            from gpu_check.runner import Planned, run_all
            from gpu_check.part import Place
            from gpu_check.record import Record
            found = Record(Path({str(self.out)!r}), {{}})
            command.stop_on_signals(found)
            place = Place(Path("."), Path({str(self.folder)!r}), "cpu", sys.executable, [], 2, time.monotonic() + 60)
            parts = [Planned("part_" + name, name, 20.0) for name in {names!r}]
            run_all(parts, place, found, 100.0)
        """
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.DEVNULL)

    def wait_for(self, found: object, what: str) -> None:
        end = time.monotonic() + 30
        while not found():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def test_the_record_is_written_while_a_part_runs(self) -> None:
        (part,) = self.run_parts("reads", whole=10.0)
        self.assertEqual(part["outcome"], "passed", part)

    def test_a_check_that_is_killed_leaves_what_it_found(self) -> None:
        for number, outcome in ((signal.SIGTERM, "stopped by SIGTERM"), (signal.SIGKILL, "running")):
            with self.subTest(number.name):
                self.out.unlink(missing_ok=True)
                process = self.start("good", "hangs")
                self.wait_for(
                    lambda: self.out.exists() and '"before": 2' in self.out.read_text(), "the second part runs"
                )
                (hanging,) = [pid for pid, name in processes.below(process.pid).items() if name.startswith("python")]
                process.send_signal(number)
                self.assertEqual(process.wait(30), 143 if number == signal.SIGTERM else -number)
                self.wait_for(lambda pid=hanging: not Path(f"/proc/{pid}").exists(), "its part ends with it")
                self.assertEqual(
                    list(self.folder.glob("part_hangs-*")) != [], number == signal.SIGKILL, "what is left behind"
                )
                value = json.loads(self.out.read_text())
                good, hangs = value["parts"]
                self.assertEqual((value["outcome"], good["outcome"]), (outcome, "passed"))
                self.assertEqual(hangs["findings"], {"before": 2})

    def test_messages_of_no_known_kind_are_refused(self) -> None:
        found = Record(self.out, {})
        with self.assertRaises(ValueError):
            found.add(found.begin("a", "b", 1.0), {"remark": 1})


class ComputationTest(unittest.TestCase):
    def test_sweep_files_are_changed_line_by_line(self) -> None:
        text = (ROOT / "sweeps" / "demo.yaml").read_text()
        new = runs.changed(text, epochs="4", seeds="[0, 1]", checkpoint="{every_epochs: 1}")
        self.assertIn("\n  epochs: 4\n", new)
        self.assertIn("\nseeds: [0, 1]\n", new)
        self.assertIn("\ncheckpoint: {every_epochs: 1}\n", new)
        self.assertNotIn("epochs: 15", new)
        with self.assertRaises(CheckError):
            runs.changed("a: 1\nb:\n  a: 2\n", a="3")

    def test_means_that_seeds_explain_are_close(self) -> None:
        self.assertEqual(demo.standard_errors_apart([0.5, 0.6], [0.5, 0.6]), 0.0)
        self.assertEqual(demo.standard_errors_apart([0.5, 0.5], [0.505, 0.505]), 0.0)
        self.assertEqual(demo.standard_errors_apart([0.5, 0.5], [0.6, 0.6]), float("inf"))
        close = demo.standard_errors_apart([0.5, 0.6, 0.7], [0.55, 0.65, 0.75])
        far = demo.standard_errors_apart([0.5, 0.51, 0.52], [0.8, 0.81, 0.82])
        self.assertTrue(0.0 < close < 1.0 and far > demo.STANDARD_ERRORS, (close, far))

    def test_digests_are_equal_task_by_task(self) -> None:
        one = {("a", "0"): {"weights_digest": "x"}, ("a", "1"): {"weights_digest": "y"}}
        self.assertEqual(demo.equal_digests(one, one), 2)
        self.assertEqual(demo.equal_digests(one, {**one, ("a", "1"): {"weights_digest": "z"}}), 1)
        empty = {("a", "0"): {"weights_digest": ""}}
        self.assertEqual(demo.equal_digests(empty, empty), 0, "a digest that is not there says nothing")

    def test_profiles_are_summed(self) -> None:
        def event(key: str, device: str, count: int, host_us: float = 0.0, device_us: float = 0.0) -> object:
            kind = f"DeviceType.{device}"
            return types.SimpleNamespace(
                key=key, device_type=kind, count=count, self_cpu_time_total=host_us, self_device_time_total=device_us
            )

        seen = probe.digest(
            [
                event("aten::mm", "CPU", 30, 500.0),
                event("cudaLaunchKernel", "CPU", 60, 100.0),
                event("sgemm", "CUDA", 30, 0.0, 2000.0),
                event("Memcpy HtoD (Pageable -> Device)", "CUDA", 10, 0.0, 700.0),
            ],
            0.1,
        )
        self.assertEqual((seen["kernels"]["count"], seen["kernels"]["ms"]), (30, 2.0))
        self.assertEqual((seen["copies"]["count"], seen["copies"]["ms"]), (10, 0.7))
        self.assertEqual((seen["host"]["operations"], seen["host"]["ms"]), (30, 0.6))
        self.assertEqual(seen["host"]["cuda_calls"], {"cudaLaunchKernel": 60})
        self.assertIn("a step has 3 kernels of 0.20 ms, 1 copies", steps.per_step(seen, 10))

    def test_sizes_are_those_of_the_sweeps(self) -> None:
        files = {"bi-eflstm": "iemocap-bi-eflstm.yaml", "mfn": "mosi-mfn.yaml"}
        for network in sizes.NETWORKS:
            text = (ROOT / "sweeps" / files[network.name]).read_text()
            self.assertEqual(network.samples, int(re.search(r"batch_size: (\d+)", text)[1]))
        generator = (ROOT / "datasets" / "generate_paper_shapes.py").read_text()
        self.assertIn("(5157, 860, 860), 30, ", generator)
        self.assertIn("(1284, 229, 686), 20, ", generator)

    def test_the_limits_of_the_parts_fit_into_the_whole(self) -> None:
        needed = sum(planned.seconds for planned in command.PARTS)
        self.assertLessEqual(needed + len(command.PARTS), command.WHOLE)
        self.assertLess(command.WHOLE, 300)


class HostTest(FolderTest):
    def libtorch(self, name: str, version: str) -> Path:
        folder = self.folder / name
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / "libtorch_cpu.so").touch()
        (folder / "version.py").write_text(f"__version__ = '{version}'\n")
        return folder

    def test_the_first_libtorch_of_the_right_version_is_taken(self) -> None:
        old, new = self.libtorch("old", "2.10.0+cu130"), self.libtorch("new", "2.11.0+cu130")
        nothing = str(self.folder / "no-python")
        with mock.patch.dict(os.environ, {"LIBTORCH": str(new)}):
            found, wrong = host.find_libtorch(str(old), nothing, self.folder)
        self.assertEqual((found.lib, found.where, found.cuda), ((new / "lib").resolve(), "LIBTORCH", None))
        self.assertIn("is torch 2.10.0+cu130", wrong[0])
        with mock.patch.dict(os.environ, {"LIBTORCH": ""}):
            found, wrong = host.find_libtorch(str(self.folder), nothing, self.folder)
        self.assertIsNone(found)
        self.assertIn("there is no lib/libtorch_cpu.so", wrong[0])

    def test_the_loader_looks_beside_torch_too(self) -> None:
        torch = self.libtorch("packages/torch", "2.11.0")
        beside = self.folder / "packages" / "nvidia" / "cu13" / "lib"
        beside.mkdir(parents=True)
        self.assertEqual(host.Libtorch(torch / "lib", "", "").folders(), [str(torch / "lib"), str(beside)])

    def test_gpus_are_read_from_nvidia_smi(self) -> None:
        programs(self.folder / "bin", nvidia_smi='echo "0, NVIDIA H100 80GB HBM3, 1234"')
        with mock.patch.dict(os.environ, {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}):
            self.assertEqual(host.nvidia_smi("index", "name"), [["0", "NVIDIA H100 80GB HBM3", "1234"]])
        programs(self.folder / "bin", nvidia_smi="echo 5; exit 9")
        with mock.patch.dict(os.environ, {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}):
            self.assertEqual(host.nvidia_smi("index"), [])
            self.assertIsNone(host.used_memory())

    def test_a_missing_bundle_is_named(self) -> None:
        text = command.find_bundle(self.folder)
        self.assertIn(f"there is no bundle in {self.folder} (bin/colearn is missing): run make gpu-bundle", text)


class PartTest(FolderTest):
    """The parts as on a GPU, with replacements for everything that needs one."""

    def setUp(self) -> None:
        super().setUp()
        self.file = open(self.folder / "messages", "w+b")  # noqa: SIM115
        self.addCleanup(self.file.close)
        said = contextlib.redirect_stdout(io.StringIO())
        said.__enter__()
        self.addCleanup(said.__exit__, None, None, None)

    def part(self, device: str = "cuda") -> Part:
        return Part(self.place(device), self.file.fileno())

    def checks(self) -> dict[str, bool | None]:
        lines = (self.folder / "messages").read_text().splitlines()
        found = [json.loads(line)["check"] for line in lines if "check" in json.loads(line)]
        return {check["name"]: check["ok"] for check in found}

    def test_inventory(self) -> None:
        bin = self.folder / "bundle" / "bin"
        programs(
            bin,
            colearn="exit 0",
            colearn_worker="""
                [ "$1" = --version ] && exit 0
                [ -z "${CUDA_VISIBLE_DEVICES-x}" ] && { echo "error: no GPU is visible" >&2; exit 4; }
                echo "worker w: 1 slot: cuda:0 NVIDIA H100" >&2; exit 3
            """,
            colearn_trainer="""[ "$1" = --version ] || echo '{"event":"ready","device":"cuda:0"}'""",
            nvidia_smi='echo "0, NVIDIA H100, GPU-aa, 580.1, 81559, 4, Default"',
        )
        device = {"cuda_devices": 1, "cuda_library": "x", "cuda_error": None, "cudnn": True, "memory": None}
        with (
            mock.patch.dict(os.environ, {"PATH": f"{bin}:{os.environ['PATH']}"}),
            mock.patch.object(inventory, "probe", return_value=[device]) as asked,
            mock.patch.object(host, "torch_of", return_value=None),
        ):
            inventory.run(self.part())
        checks = self.checks()
        self.assertEqual({name for name, ok in checks.items() if ok is not True}, {"PyTorch"}, checks)
        self.assertEqual(asked.call_args.kwargs["CUDA_VISIBLE_DEVICES"], "GPU-aa")
        self.assertIn("CUDA_VISIBLE_DEVICES that is empty", checks)

    def differences(self, gradient: float = 1e-6, movement: float = 1e-4) -> dict:
        worst = {"relative": gradient, "parameter": "lstm.weight_ih_l0"}
        return {
            "against": "cpu, single precision", "rounds": 20, "losses": {"first": 1e-7, "largest": 1e-6, "last": 1.0},
            "gradients": {"first": worst, "last": worst}, "weights": {"largest": worst, "of_movement": movement},
            "buffers": 0.0,
        }  # fmt: skip

    def test_parity(self) -> None:
        with mock.patch.object(parity, "probe", return_value=[self.differences()]) as asked:
            parity.run(self.part())
        self.assertEqual(set(self.checks().values()), {True})
        modes = [call.kwargs.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE") for call in asked.call_args_list]
        self.assertEqual(modes, [None, None, "1", "1"])

    def test_wrong_gradients_fail(self) -> None:
        for wrong in ({"gradient": 0.1}, {"movement": 1.0}, {"gradient": None}):
            part = self.part()
            with mock.patch.object(parity, "probe", return_value=[self.differences(**wrong)]):
                parity.run(part)
            self.assertTrue(part.failed, wrong)

    def test_steps(self) -> None:
        rows = [
            {
                "members": k,
                "ms": 10.0,
                "least_ms": 9.0,
                "host_ms": 5.0,
                "train_ms": 8.0,
                "optimizer_ms": 1.0,
                "memory": 2**30,
            }
            for k in (40, 1)
        ] + [{"members": 200, "error": "CUDA out of memory"}]
        kernels = {"count": 100, "ms": 5.0, "most": []}
        seen = {"kernels": kernels, "copies": kernels, "host": {"operations": 50, "ms": 3.0}, "wall_ms": 100.0}
        said = [json.dumps({"mode": "eager", "ms": 2.5, "host_ms": 2.0}), json.dumps({"mode": "graph", "error": "no"})]
        text = "".join(line + "\n" for line in said)
        end = json.dumps({"mode": "profile", "rounds": 10, "profile": seen})
        outputs = iter([text, text, end, end, text])
        part = self.part()

        def answer(_part: Part, what: str, *_arguments: object, **_options: object) -> list[dict]:
            return [{"profile": seen}] if what == "prepare" else rows

        with (
            mock.patch.object(steps, "probe", side_effect=answer),
            mock.patch.object(host, "torch_of", return_value=Path("/torch")),
            mock.patch.object(Part, "run", lambda *_a, **_k: types.SimpleNamespace(stdout=next(outputs), stderr="")),
        ):
            steps.run(part)
        lines = [json.loads(line) for line in (self.folder / "messages").read_text().splitlines()]
        ratios = [line["value"] for line in lines if line.get("note", [])[1:] == ["ratio at the grid"]]
        self.assertEqual(ratios[0], {"eager": 10.0}, "40 models in 10 ms, against one in 2.5 ms")
        self.assertIs(self.checks()["bi-eflstm: steps"], False, "a cohort that ran out of memory is told")
        self.assertIs(self.checks()["mfn: profile"], True)

    def test_what_was_measured_before_the_time_was_up_counts(self) -> None:
        row = json.dumps(
            {"members": 40, "ms": 4.0, "host_ms": 1.0, "train_ms": 3.0, "optimizer_ms": 1.0, "memory": None}
        )
        with mock.patch.object(steps, "probe", side_effect=TimeUp("it did not end", row + '\n{"members": 1, "m')):
            found = steps.own(self.part(), sizes.NETWORKS[0], (40, 1), 1.0)
        self.assertEqual([entry["members"] for entry in found], [40])
        self.assertIs(self.checks()["bi-eflstm: steps"], False)
        eager = json.dumps({"mode": "eager", "ms": 2.5, "host_ms": 2.0}) + "\n"
        with mock.patch.object(Part, "run", side_effect=TimeUp("it did not end", eager)):
            self.assertEqual(steps.pytorch(self.part(), sizes.NETWORKS[0], ["eager"], 1.0)[0]["ms"], 2.5)

    def test_gpu_memory_is_taken_and_told(self) -> None:
        part = self.part()
        with self.assertRaisesRegex(CheckError, "could not be taken"):
            faults.hold_gpu(part, 1)  # This bundle has no probe.

    def test_programs_are_stopped_in_time(self) -> None:
        part = self.part()
        with self.assertRaisesRegex(CheckError, r"sh did not end within 1 s; its last words: waiting"):
            part.run(["sh", "-c", "echo waiting; exec sleep 60"], 1.0)


if __name__ == "__main__":
    unittest.main()
