"""Tests of figure5.py on a small real sweep, if pandas, matplotlib and the programs are there."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scripts")]

import command_lines
import figure5

try:
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401

    NO_PACKAGES = None
except ImportError as error:
    NO_PACKAGES = f"{error.name} is missing: make pandas"
PROGRAMS = command_lines.folder()
SWEEP = """
name: small
dataset: data/demo.safetensors
primary: language
model: {hidden: 4, layers: 1}
training: {epochs: 1, batch_size: 64}
parameters: {modality_dropout.audio: [0, 0.5, 0.9], modality_dropout.video: [0, 0.5, 0.9]}
zip: [[modality_dropout.audio, modality_dropout.video]]
include: [{unimodal: true}]
seeds: {count: 3}
"""


def run(*arguments: str) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = figure5.main(arguments)
    return code, errors.getvalue()


@unittest.skipIf(NO_PACKAGES, NO_PACKAGES or "")
@unittest.skipUnless(PROGRAMS, "there are no programs: cargo build -p colearn -p colearn-worker -p colearn-trainer")
class FigureOfASweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        at = Path(cls.folder.name)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COLEARN_")}
        (at / "small.yaml").write_text(SWEEP)

        def colearn(*arguments: str) -> str:
            command = [str(PROGRAMS / "colearn"), *arguments]
            return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=True).stdout

        colearn("data", "generate")
        colearn("run", "small.yaml")
        cls.csv = at / "small.csv"
        cls.csv.write_text(colearn("results", "small", "--per-seed", "--format", "csv"))

    def test_the_line_has_the_means_of_the_levels_and_the_baseline_is_across(self):
        figure = figure5.figure([str(self.csv)], "accuracy", "sd", None, ["demo"])
        (axes,) = figure.axes
        line, baseline = axes.lines
        frame = figure5.read(str(self.csv), "accuracy")
        self.assertEqual(list(line.get_xdata()), [0.0, 0.5, 0.9])
        for level, mean in zip(line.get_xdata(), line.get_ydata(), strict=True):
            values = [row.value for row in frame.itertuples() if getattr(row, "name").startswith(f"audio={level}")]
            self.assertEqual(len(values), 3)
            self.assertAlmostEqual(mean, sum(values) / 3)
        unimodal = frame[frame["name"] == "unimodal"]["value"]
        self.assertAlmostEqual(baseline.get_ydata()[0], unimodal.mean())
        self.assertEqual(axes.get_title(), "demo")
        self.assertIn("unimodal, 3 seeds", [text.get_text() for text in axes.get_legend().get_texts()])

    def test_files_are_written_with_a_panel_for_each_sweep(self):
        out = Path(self.folder.name) / "two.svg"
        code, errors = run(str(self.csv), str(self.csv), "--metric", "loss", "--band", "range", "--out", str(out))
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(out.read_text().count("<g id=\"axes_"), 2)

    def test_mistakes_are_named(self):
        other = Path(self.folder.name) / "other.csv"
        other.write_text("a,b\n1,2\n")
        for arguments, words in [
            ([str(other)], "this is not the long format"),
            ([str(self.csv), "--metric", "acuracy"], "no result in the metric `acuracy`; it has accuracy"),
            ([str(self.csv), "--level", "smell"], "no column `modality_dropout.smell`"),
            (["missing.csv"], "missing.csv"),
        ]:
            code, errors = run(*arguments)
            self.assertEqual(code, 1)
            self.assertIn(words, errors)


if __name__ == "__main__":
    unittest.main()
