"""Tests of uplot.sh, without the network."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent / "uplot.sh"
FILES = ["uPlot.iife.min.js", "uPlot.min.css", "LICENSE"]


class Uplot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.target = self.folder / ".uplot"

    def run_script(self, script=SCRIPT, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "COLEARN_UPLOT"}
        environment |= {"UPLOT_TARGET": str(self.target), **variables}
        return subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, timeout=60)

    def changed(self, pattern, replacement):
        script = self.folder / "uplot.sh"
        text = SCRIPT.read_text()
        self.assertRegex(text, pattern)
        script.write_text(re.sub(pattern, replacement, text))
        return script

    def test_a_folder_of_the_user_is_taken_if_it_has_all_files(self):
        own = self.folder / "own"
        own.mkdir()
        for name in FILES[:2]:
            (own / name).touch()
        refused = self.run_script(COLEARN_UPLOT=str(own))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("LICENSE is missing", refused.stderr)
        (own / "LICENSE").touch()
        self.assertEqual(self.run_script(COLEARN_UPLOT=str(own)).returncode, 0)
        self.assertFalse(self.target.exists())

    def test_what_is_there_is_not_fetched_again(self):
        version = re.search(r"^VERSION=(.*)$", SCRIPT.read_text(), re.M)[1]
        self.target.mkdir()
        (self.target / "stamp").write_text(version + "\n")
        script = self.changed("https://registry.npmjs.org", "file:///nowhere")
        self.assertEqual(self.run_script(script).returncode, 0)

    def test_an_archive_with_another_digest_is_refused(self):
        archive = self.folder / "uplot"
        archive.mkdir()
        version = re.search(r"^VERSION=(.*)$", SCRIPT.read_text(), re.M)[1]
        (archive / "-").mkdir()
        (archive / "-" / f"uplot-{version}.tgz").write_bytes(b"something else")
        refused = self.run_script(self.changed("https://registry.npmjs.org", self.folder.as_uri()))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("refusing to use it", refused.stderr)
        self.assertFalse(self.target.exists())


if __name__ == "__main__":
    unittest.main()
