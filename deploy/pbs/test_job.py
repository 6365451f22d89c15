"""The job script for PBS: its shell, and the arguments of its worker. No PBS runs it."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SCRIPT = (HERE / "colearn-worker.pbs").read_text()
WORKER = "/opt/colearn/colearn-worker"


def run(worker, seconds):
    """What a job prints whose worker ends with `worker` after `seconds`, and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            "worker": f"echo $(($(cat {folder}/now) + {seconds})) > {folder}/now; exit {worker}",
            "date": f"cat {folder}/now",
            "qsub": 'echo "qsub $*"',
        }
        Path(folder, "now").write_text("1000")
        for name, text in programs.items():
            path = Path(folder, name)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        script = SCRIPT.replace(WORKER, f"{folder}/worker")
        variables = {"PATH": f"{folder}:{os.environ['PATH']}", "PBS_O_WORKDIR": folder}
        job = subprocess.run(["sh"], input=script, env=variables, capture_output=True, text=True, check=False)
        assert not job.stderr, job.stderr
        return job.stdout.strip(), job.returncode


class Script(unittest.TestCase):
    def test_another_job_follows_one_that_ran_out_of_time_with_tasks_left(self):
        self.assertEqual(run(75, 7070), ("qsub colearn-worker.pbs", 75))

    def test_none_follows_one_that_was_deleted_or_has_nothing_left_to_do(self):
        self.assertEqual(run(75, 300), ("", 75))
        self.assertEqual(run(0, 7070), ("", 0))
        self.assertEqual(run(3, 7070), ("", 3))

    def test_the_worker_knows_every_argument(self):
        named = os.environ.get("COLEARN_PROGRAMS")
        target = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))
        folders = [Path(named)] if named else [target / "debug", target / "release"]
        program = next((it / "colearn-worker" for it in folders if (it / "colearn-worker").exists()), None)
        if program is None:
            self.skipTest("the programs are not built: cargo build --workspace")
        command = re.search(rf"^{WORKER}((?:.*\\\n)*.*)$", SCRIPT, re.M)[1].replace("\\\n", " ").split()
        call = [str(program), *command, "--help"]
        output = subprocess.run(call, capture_output=True, text=True, check=False)
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertIn("--parked-exit-code", command)

    @unittest.skipIf(shutil.which("bash") is None, "there is no bash")
    def test_bash_reads_it_too(self):
        subprocess.run(["bash", "-n"], input=SCRIPT, text=True, check=True)


if __name__ == "__main__":
    unittest.main()
