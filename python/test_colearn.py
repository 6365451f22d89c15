"""Tests of colearn.py: what it writes is what `colearn data import` writes, and what it reads is what colearn prints."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import colearn
    import colearn_results
    from colearn import DatasetError
except ImportError as error:
    raise unittest.SkipTest(f"needs numpy and safetensors: {error}") from error


def program() -> Path | None:
    """The newest `colearn` of this checkout, unless COLEARN_PROGRAMS names the folder of one."""
    if folder := os.environ.get("COLEARN_PROGRAMS"):
        return Path(folder).resolve() / "colearn"
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")).resolve()
    built = [path for path in (target / "debug" / "colearn", target / "release" / "colearn") if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "set.safetensors"
        random = np.random.default_rng(0)
        self.arrays = {
            "language": random.normal(size=(20, 5, 3)),
            "audio": random.integers(-9, 9, size=(20, 5, 2)).astype(np.float64),
        }
        self.labels = ["calm", "angry"] * 10
        self.splits = ["train"] * 10 + ["valid"] * 4 + ["test"] * 6

    def refused(self, **changed: object) -> str:
        given = {"modalities": self.arrays, "labels": self.labels, "splits": self.splits, **changed}
        with self.assertRaises(DatasetError) as raised:
            colearn.write_dataset(self.out, **given)
        self.assertFalse(self.out.exists())
        return str(raised.exception)


class WriteTest(FolderTest):
    def test_what_is_written_is_read_back(self) -> None:
        colearn.write_dataset(self.out, self.arrays, self.labels, self.splits, source="here", licence="none")
        tensors = load_file(self.out)
        np.testing.assert_array_equal(tensors["valid/language"], self.arrays["language"][10:14].astype(np.float32))
        self.assertEqual(tensors["train/labels"].tolist(), [1, 0] * 5)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(json.loads(entries["classes"]), ["angry", "calm"])
        self.assertEqual(json.loads(entries["modalities"]), ["language", "audio"])
        self.assertEqual((entries["source"], entries["licence"]), ("here", "none"))

    def test_splits_by_index_and_by_id(self) -> None:
        colearn.write_dataset(self.out, self.arrays, self.labels, self.splits)
        expected = self.out.read_bytes()
        by_index = {"train": range(10), "valid": [10, 11, 12, 13], "test": np.arange(14, 20)}
        ids = [f"s{index}" for index in range(20)]
        by_id = {"train": ids[:10], "val": ids[10:14], "test": ids[14:]}
        colearn.write_dataset(self.out, self.arrays, self.labels, by_index)
        self.assertEqual(self.out.read_bytes(), expected)
        colearn.write_dataset(self.out, self.arrays, self.labels, by_id, ids=ids)
        self.assertEqual(self.out.read_bytes(), expected)

    def test_two_dimensions_are_one_step_and_numbers_are_values_to_regress(self) -> None:
        values = np.linspace(-3, 3, 20)
        colearn.write_dataset(self.out, {"audio": np.ones((20, 4))}, values, self.splits, regression=True)
        tensors = load_file(self.out)
        self.assertEqual(tensors["train/audio"].shape, (10, 1, 4))
        np.testing.assert_array_equal(tensors["test/labels"], values[14:].astype(np.float32))

    def test_standardizing_leaves_padding_alone(self) -> None:
        audio = np.arange(1, 21, dtype=np.float64)[:, None, None] * np.ones((1, 3, 2))
        audio[:, :1] = 0
        audio[:, :, 1] = np.where(audio[:, :, 1] == 0, 0, 7)
        colearn.write_dataset(self.out, {"audio": audio}, self.labels, self.splits, standardize=True)
        train = load_file(self.out)["train/audio"]
        self.assertTrue((train[:, 0] == 0).all() and (train[:, :, 1] == 0).all())
        np.testing.assert_allclose(train[:, 1:, 0].mean(), 0, atol=1e-6)
        np.testing.assert_allclose(train[:, 1:, 0].std(), 1, atol=1e-6)

    def test_all_mistakes_are_reported_at_once(self) -> None:
        nan = self.arrays["language"].copy()
        nan[3, 2, 1] = np.nan
        text = self.refused(
            modalities={"language": nan, "audio": np.full((20, 5, 1), 1e300), "video": np.ones((19, 4, 2))},
            labels=[1, 2] * 10,
            splits=["train"] * 14 + ["hold"] * 6,
        )
        for part in (
            "language: 1 value(s) are NaN or infinite, the first at sample 3, step 2, feature 1",
            "audio: 20 value(s)",
            "are beyond what a float32 holds, the first at sample 0, step 0, feature 0",
            "video has 19, labels has 20",
            "labels are counted from 1 (1 to 2)",
            "there are samples in 'hold'",
            "the valid split is empty",
            "the test split is empty",
        ):
            self.assertIn(part.replace("20 value(s)", "100 value(s)"), text)

    def test_single_mistakes(self) -> None:
        ragged = [np.ones((2, 3)), np.ones((3, 3))]
        for changed, message in (
            ({"modalities": {"audio": ragged}}, "fit_steps"),
            ({"modalities": {"audio": np.ones(20)}}, "expected [samples, steps, features]"),
            ({"modalities": {**self.arrays, "video": np.ones((20, 4))}}, "np.repeat(array, 5, axis=1)"),
            ({"modalities": {"au dio": self.arrays["audio"]}}, "'au dio'"),
            ({"labels": np.eye(20)}, "argmax(axis=1)"),
            ({"labels": [0.5] * 20}, "regression=True"),
            ({"labels": [0, -1] * 10}, "from -1 to 0"),
            ({"labels": [0, 10**9] * 10}, "expected 0 to 19"),
            ({"labels": [np.nan] * 20}, "20 label(s) are NaN"),
            ({"classes": ["calm"]}, "'angry' are not among the classes 'calm'"),
            ({"classes": ["calm", "angry", "odd"]}, "no training sample has the class 'odd'"),
            ({"splits": ["train"] * 3}, "splits has 3 entries"),
            ({"splits": {"train": [0, 99], "valid": [0], "test": [2]}}, "names 99, which is no sample"),
            ({"regression": True}, "labels are texts"),
        ):
            with self.subTest(message):
                self.assertIn(message, self.refused(**changed))

    def test_fitting_steps(self) -> None:
        sample = np.array([[1.0], [2.0], [3.0]])
        for pad, cut, count, expected in (
            ("front", "front", 2, [2, 3]),
            ("front", "back", 2, [1, 2]),
            ("front", "front", 4, [0, 1, 2, 3]),
            ("back", "front", 4, [1, 2, 3, 0]),
        ):
            self.assertEqual(colearn.fit_steps(sample, count, pad, cut)[:, 0].tolist(), expected)
        self.assertEqual(colearn.fit_steps(np.empty((0, 1)), 2)[:, 0].tolist(), [0, 0])
        with self.assertRaises(DatasetError):
            colearn.fit_steps(sample, 2, pad="left")


class DivideTest(unittest.TestCase):
    def test_groups_stay_together(self) -> None:
        speakers = [f"g{index * index % 11}" for index in range(100)]
        splits = colearn.divide(speakers, (0.6, 0.2, 0.2), seed=4)
        self.assertEqual(set(splits), set(colearn.SPLITS))
        self.assertEqual(len(set(zip(speakers, splits, strict=True))), len(set(speakers)))

    def test_fractions_that_can_not_be(self) -> None:
        for fractions in ((0.7, 0.3), (0.7, 0.2, 0.2), (1.0, 0.0, 0.0)):
            with self.assertRaises(DatasetError):
                colearn.divide(range(9), fractions)


class ProgramTest(FolderTest):
    """Against the real `colearn`."""

    def setUp(self) -> None:
        super().setUp()
        found = program()
        if found is None:
            self.skipTest("colearn is not built: cargo build -p colearn")
        self.program = found

    def colearn(self, *arguments: str) -> str:
        done = subprocess.run([self.program, *arguments], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def imported(self, *arguments: str) -> bytes:
        out = ("--preparation", "by hand", "--source", "here", "--licence", "ours", "--out", "imported.safetensors")
        self.colearn("data", "import", *arguments, *out)
        return (self.folder / "imported.safetensors").read_bytes()

    def written(self, modalities: dict, labels: object, splits: object, **options: object) -> bytes:
        texts = {"preparation": "by hand", "source": "here", "licence": "ours"}
        colearn.write_dataset(self.out, modalities, labels, splits, **texts, **options)
        return self.out.read_bytes()

    def test_inspect_accepts_what_is_written(self) -> None:
        classes = ["böse", 'so "so"\n', "ruhig"]
        colearn.write_dataset(self.out, self.arrays, [0, 1, 2, 1] * 5, self.splits, classes=classes)
        summary = json.loads(self.colearn("data", "inspect", str(self.out), "--json"))
        self.assertEqual(summary["task"]["classes"], classes)
        self.assertEqual([split["samples"] for split in summary["splits"]], [10, 4, 6])

    def test_import_writes_the_same_bytes(self) -> None:
        for name, array in self.arrays.items():
            np.save(self.folder / f"{name}.npy", array)
        ids = [f"ü{index}" for index in range(20)]
        speakers = [f"p{index % 7}" for index in range(20)]
        rows = zip(ids, self.labels, speakers, strict=True)
        (self.folder / "meta.csv").write_text("id,mood,speaker\n" + "".join(",".join(row) + "\n" for row in rows))
        given = ("--modality", "language=language.npy", "--modality", "audio=audio.npy", "--labels", "meta.csv:mood")
        splits = colearn.divide(ids, (0.6, 0.2, 0.2), seed=3)
        imported = self.imported(*given, "--split", "0.6,0.2,0.2", "--split-seed", "3")
        self.assertEqual(imported, self.written(self.arrays, self.labels, splits))

        # What `divide` does with groups, and the import with --groups.
        splits = colearn.divide(speakers, (0.5, 0.25, 0.25), seed=1)
        imported = self.imported(
            *given, "--groups", "meta.csv:speaker", "--split", "0.5,0.25,0.25", "--split-seed", "1",
            "--class-names", "calm,angry",
        )  # fmt: skip
        self.assertEqual(imported, self.written(self.arrays, self.labels, splits, classes=["calm", "angry"]))

    def test_every_type_and_order_of_numpy_is_imported(self) -> None:
        (self.folder / "split.txt").write_text("".join(f"{split}\n" for split in self.splits))
        np.save(self.folder / "labels.npy", np.array(self.labels))
        whole = self.arrays["audio"]
        expected = self.written({"audio": whole}, self.labels, self.splits)
        kinds = [f"{order}{kind}" for kind in ("f2", "f4", "f8", "i2", "i4", "i8") for order in "<>"] + ["i1"]
        given = ("--modality", "audio=audio.npy", "--labels", "labels.npy", "--split", "split.txt")
        for kind in kinds:
            for order in (np.ascontiguousarray, np.asfortranarray):
                with self.subTest(f"{kind} {order.__name__}"):
                    np.save(self.folder / "audio.npy", order(whole.astype(kind)))
                    self.assertEqual(self.imported(*given), expected)
        for kind in ("u1", ">u2", "u4", "<u8", "?"):
            np.save(self.folder / "audio.npy", np.abs(whole).astype(kind))
            expected = self.written({"audio": np.abs(whole).astype(kind)}, self.labels, self.splits)
            self.assertEqual(self.imported(*given), expected, kind)
        for save in (np.savez, np.savez_compressed):
            save(self.folder / "all.npz", audio=whole, labels=np.array(self.labels).astype(">U9"))
            given = ("--modality", "audio=all.npz", "--labels", "all.npz", "--split", "split.txt")
            self.assertEqual(self.imported(*given), self.written({"audio": whole}, self.labels, self.splits))

    def test_a_folder_is_imported_as_fit_steps_makes_it(self) -> None:
        (self.folder / "clips").mkdir()
        random = np.random.default_rng(1)
        clips = [random.normal(size=(2 + index % 6, 3)) for index in range(20)]
        for index, clip in enumerate(clips):
            np.save(self.folder / "clips" / f"c{index:02}.npy", clip)
        (self.folder / "labels.txt").write_text("".join(f"{label}\n" for label in self.labels))
        (self.folder / "split.txt").write_text("".join(f"{split}\n" for split in self.splits))
        given = ("--modality", "clips=clips", "--labels", "labels.txt", "--split", "split.txt", "--steps", "4")
        for pad in ("front", "back"):
            for cut in ("front", "back"):
                fitted = np.stack([colearn.fit_steps(clip, 4, pad, cut) for clip in clips])
                expected = self.written({"clips": fitted}, self.labels, self.splits)
                self.assertEqual(self.imported(*given, "--pad", pad, "--cut", cut), expected)

    def test_standardizing_gives_the_same_numbers(self) -> None:
        audio = self.arrays["language"].copy()
        audio[::3, :2] = 0
        np.save(self.folder / "audio.npy", audio)
        (self.folder / "labels.txt").write_text("".join(f"{label}\n" for label in self.labels))
        (self.folder / "split.txt").write_text("".join(f"{split}\n" for split in self.splits))
        self.written({"audio": audio}, self.labels, self.splits, standardize=True)
        self.imported(
            "--modality", "audio=audio.npy", "--labels", "labels.txt", "--split", "split.txt", "--standardize", "train"
        )
        ours, theirs = load_file(self.out), load_file(self.folder / "imported.safetensors")
        for name, tensor in ours.items():
            np.testing.assert_allclose(tensor, theirs[name], atol=1e-6, err_msg=name)


class ResultsTest(FolderTest):
    DOCUMENT = {
        "sweep": "s",
        "warnings": [],
        "configurations": [
            {
                "id": "0012345678900000", "values": {"modality_dropout.audio": 0.5, "model.kind": "mfn"},
                "baseline": False, "n": 2, "expected": 3, "state": "partial",
                "metrics": {"accuracy": {"mean": 0.75, "std": 0.1, "ci_low": 0.5, "ci_high": 1.0}},
                "comparisons": {"accuracy": {
                    "mean_difference": 0.25, "ci_low": -0.5, "ci_high": 1, "pairs": 2, "effect_size": None, "t_p": 0.5,
                    "t_p_holm": 0.5, "wilcoxon_p": 1.0, "wilcoxon_p_holm": 1.0, "verdict": "PCL",
                }},
            },
            {
                "id": "e000000000000000", "values": {"unimodal": True}, "baseline": True, "n": 1, "expected": 3,
                "state": "partial", "metrics": {"accuracy": {"mean": 0.5, "std": None, "ci_low": None, "ci_high": None}},
                "comparisons": {},
            },
        ],
    }  # fmt: skip
    CSV = (
        "id,modality_dropout.audio,model.kind,unimodal,baseline,n,expected,state,accuracy_mean,accuracy_std,"
        "accuracy_ci_low,accuracy_ci_high,accuracy_difference,accuracy_difference_ci_low,accuracy_difference_ci_high,"
        "accuracy_pairs,accuracy_effect_size,accuracy_t_p,accuracy_t_p_holm,accuracy_wilcoxon_p,"
        "accuracy_wilcoxon_p_holm,accuracy_verdict,warning\n"
        "0012345678900000,0.5,mfn,,false,2,3,partial,0.75,0.1,0.5,1.0,0.25,-0.5,1,2,,0.5,0.5,1.0,1.0,PCL,\n"
        "e000000000000000,,,true,true,1,3,partial,0.5,,,,,,,,,,,,,,\n"
    )

    def write(self, text: str) -> Path:
        path = self.folder / "results"
        path.write_text(text)
        return path

    def test_json_and_csv_give_the_same_rows(self) -> None:
        from_json = colearn.results_rows(self.write(json.dumps(self.DOCUMENT)))
        self.assertEqual(from_json, colearn.results_rows(self.write(self.CSV)))
        self.assertEqual(from_json[0]["id"], "0012345678900000")
        self.assertEqual((from_json[0]["n"], from_json[0]["accuracy_mean"]), (2, 0.75))
        self.assertEqual((from_json[1]["unimodal"], from_json[1]["accuracy_verdict"]), (True, None))

    def test_the_columns_are_those_that_colearn_prints(self) -> None:
        source = (HERE.parent / "report" / "src" / "text" / "csv.rs").read_text()
        for column in (*colearn_results._NUMBERS, *colearn_results._COMPARED):
            self.assertTrue(f'("{column}", |row' in source or column == "verdict", column)

    def test_parameters_and_metrics_of_programs_have_any_names_and_values(self) -> None:
        values = {"n": 3, "optimizer": "sgd", "layers": [64, 64], "augment": True, "warmup": None, "tag": "1_000",
                  "r2_mean": "-x", "mode": "nan"}  # fmt: skip
        metrics = {name: {"mean": mean, "std": None, "ci_low": None, "ci_high": None}
                   for name, mean in {"r2": 0.5, "tokens/s": 3e-7, "=1+1": 12345.5}.items()}  # fmt: skip
        row = {"id": "0000000000000001", "values": values, "baseline": True, "n": 5, "expected": 5,
               "state": "complete", "metrics": metrics, "comparisons": {}}  # fmt: skip
        document = {"sweep": "s", "warnings": [], "configurations": [row]}
        from_json = colearn.results_rows(self.write(json.dumps(document)))
        numbers = [*colearn_results._NUMBERS, *colearn_results._COMPARED]
        heading = ["id", "parameter.n", "optimizer", "layers", "augment", "warmup", "tag", "parameter.r2_mean", "mode",
                   "baseline", "n", "expected", "state",
                   *(f"{m}_{part}" for m in ("r2", "tokens/s", "'=1+1") for part in numbers), "warning"]  # fmt: skip
        cells = ["0000000000000001", "3", "sgd", "[64,64]", "true", "null", "1_000", "'-x", "nan", "true", "5", "5",
                 "complete"]  # fmt: skip
        for mean in ("0.5", "0.0000003", "12345.5"):
            cells += [mean, *[""] * (len(numbers) - 1)]
        with (self.folder / "results").open("w", newline="") as file:
            csv.writer(file).writerows([heading, [*cells, ""]])
        self.assertEqual(colearn.results_rows(self.folder / "results"), from_json)
        self.assertEqual((from_json[0]["n"], from_json[0]["parameter.n"]), (5, 3))
        self.assertEqual((from_json[0]["layers"], from_json[0]["tokens/s_mean"]), ("[64,64]", 3e-7))

    def test_folds_and_seeds_are_one_row(self) -> None:
        document = json.loads(json.dumps({**self.DOCUMENT, "replicates": ["fold"]}))
        first = document["configurations"][0]
        members = [{"id": "0012345678900000", "values": {"fold": 0}}, {"id": "0000000000000001", "values": {"fold": 1}}]
        first.update(n=5, expected=6, replicates=members, failed_seeds={"fold=1 seed=2": "crash"})
        rows = colearn.results_rows(self.write(json.dumps(document)))
        self.assertEqual((rows[0]["id"], rows[0]["n"], rows[0]["expected"]), ("0012345678900000", 5, 6))
        self.assertEqual(list(rows[0]), list(colearn.results_rows(self.write(self.CSV))[0]))

    def test_columns_are_named_as_in_rust(self) -> None:
        source = (HERE.parent / "report" / "src" / "cells.rs").read_text()
        fixed = json.loads(source.split("FIXED_COLUMNS: [&str; 6] = ")[1].split(";")[0])
        self.assertEqual(tuple(fixed), colearn_results._FIXED)

    def test_warnings_are_passed_on(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            colearn.results_rows(self.write(json.dumps({**self.DOCUMENT, "warnings": ["different data"]})))
            colearn.results_rows(self.write(self.CSV.replace("PCL,", "PCL,seed 3 failed")))
        self.assertEqual(
            [str(warning.message) for warning in caught], ["different data", "0012345678900000: seed 3 failed"]
        )

    def test_a_frame(self) -> None:
        try:
            import pandas  # noqa: F401
        except ImportError:
            with self.assertRaises(ImportError) as raised:
                colearn.read_results(self.write(self.CSV))
            self.assertIn("results_rows", str(raised.exception))
            self.skipTest("pandas is not installed")
        frame = colearn.read_results(self.write(self.CSV))
        self.assertEqual(len(frame), 2)
        self.assertEqual(frame.set_index("id").loc["e000000000000000", "accuracy_mean"], 0.5)

    def test_other_files_are_refused(self) -> None:
        for text in ("", "a,b\n1,2\n", "{}", "{", "sweep mine\ndropout\n"):
            with self.subTest(text), self.assertRaises(DatasetError):
                colearn.results_rows(self.write(text))


if __name__ == "__main__":
    unittest.main()
