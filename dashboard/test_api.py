"""The HTTP API of a real coordinator, tried by schemathesis against its own description."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(os.environ.get("COLEARN_PROGRAMS", Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"))
SCHEMATHESIS = ROOT / ".venv-api/bin/st"

SWEEP = """\
name: {name}
dataset: demo
primary: language
model: {{kind: bi-eflstm, hidden: 4, layers: 1, dropout: 0.1}}
training: {{epochs: 2, batch_size: 64, learning_rate: 0.002}}
parameters:
  modality_dropout.audio: [0, 0.8]
include:
  - {{unimodal: true}}
seeds: [0, 1]
report: {{baseline: {{unimodal: true}}}}
"""


def wait(what, limit, look):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {limit} s")


@unittest.skipUnless(SCHEMATHESIS.exists(), "schemathesis is not installed: make api")
@unittest.skipUnless((PROGRAMS / "colearn").exists(), f"{PROGRAMS}/colearn is missing: cargo build")
class Api(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("COLEARN_") and key != "RUST_LOG"
        }

    def start(self, program, *arguments):
        with (self.path / f"{program}.log").open("w") as log:
            process = subprocess.Popen(
                [PROGRAMS / program, *arguments], cwd=self.path, env=self.environment, text=True,
                stdout=subprocess.PIPE, stderr=log,
            )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def colearn(self, *arguments):
        return subprocess.run(
            [PROGRAMS / "colearn", *arguments], cwd=self.path, env=self.environment, text=True, check=True,
            capture_output=True,
        ).stdout

    def test_answers_are_as_described_whatever_is_asked(self):
        coordinator = self.start("colearn", "coordinator", "--listen", "127.0.0.1:0", "--state", "state")
        url = re.match(r"coordinator: (\S+)", coordinator.stdout.readline()).group(1)
        self.colearn("data", "generate", "--out", "data/demo.safetensors")
        self.start("colearn-worker", "--coordinator", url, "--slots", "1", "--name", "one", "--data-dir", "data")
        for name in ("small", "other"):
            (self.path / f"{name}.yaml").write_text(SWEEP.format(name=name))
            self.colearn("submit", f"{name}.yaml", "--coordinator", url)

        def ended():
            with urllib.request.urlopen(f"{url}/api/v1/sweeps") as answer:
                sweeps = json.load(answer)["sweeps"]
            return all(sweep["state"] == "complete" for sweep in sweeps)

        wait("the end of the sweeps", 240, ended)
        # Values that exist, so that more than refusals is tried.
        with urllib.request.urlopen(f"{url}/api/v1/sweeps/small/grid") as answer:
            configuration = json.load(answer)["rows"][0]["id"]
        with urllib.request.urlopen(f"{url}/api/v1/workers") as answer:
            worker = json.load(answer)["workers"][0]["id"]
        (self.path / "schemathesis.toml").write_text(f"""
[parameters]
"path.sweep" = ["small", "other", "none"]
"path.configuration" = ["{configuration}", "0000000000000000"]
"path.seed" = [0, 1, 7]
"path.worker" = ["{worker}", "nobody"]
"query.configurations" = "{configuration}"
"query.sweeps" = "small,other"
""")
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_schema_conformance,unsupported_method"
        )
        run = subprocess.run(
            [
                SCHEMATHESIS, "--config-file", "schemathesis.toml", "run", f"{url}/api/v1/openapi.json",
                "--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1",
                # A stream of events has no end.
                "--exclude-path-regex", "/events$", "--request-timeout", "20", "--suppress-health-check", "all",
                "--warnings", "off",
            ],
            cwd=self.path, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.assertEqual(run.returncode, 0, run.stdout[-8000:])
        print(run.stdout[-600:], file=sys.stderr)
        self.assertIsNone(coordinator.poll())
        self.assertNotIn("panicked", (self.path / "colearn.log").read_text())


if __name__ == "__main__":
    unittest.main()
