"""Runs pages.test.js: the dashboard in a real browser, against the programs of the debug build."""

import os
import pathlib
import shutil
import subprocess
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", FOLDER.parents[1] / "target"))
PROGRAMS = pathlib.Path(os.environ.get("COLEARN_PROGRAMS", TARGET / "debug"))
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
LIMIT = 600


def missing():
    """What is missing, with the command that installs it; None if nothing is."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node is missing: sudo apt-get install nodejs npm"
    if "COLEARN_CHROMIUM" not in os.environ and not any(map(shutil.which, BROWSERS)):
        return "there is no Chromium: sudo apt-get install chromium"
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        return "what drives the browser is missing: make browser"
    for program in ["colearn", "colearn-worker", "colearn-trainer"]:
        if not (PROGRAMS / program).exists():
            return f"{PROGRAMS / program} is missing: cargo build -p colearn -p colearn-worker -p colearn-trainer"
    return None


class Pages(unittest.TestCase):
    def test_in_a_browser(self):
        lacks = missing()
        if lacks:
            self.assertNotIn("COLEARN_NEED_BROWSER", os.environ, lacks)
            self.skipTest(lacks)
        # Limits of time in the tests are those of an idle machine.
        environment = {"COLEARN_PATIENCE": "5", **os.environ, "COLEARN_PROGRAMS": str(PROGRAMS)}
        ended = subprocess.run(
            ["node", "--test", "--test-reporter=spec", "pages.test.js", "cancel.test.js"],
            cwd=FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        print(ended.stdout)
        self.assertEqual(ended.returncode, 0, ended.stdout)


if __name__ == "__main__":
    unittest.main()
