"""Tests of colearn.py: what it writes is what `colearn data import` writes."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import colearn
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
        colearn.write_dataset(self.out, self.arrays, self.labels, self.splits, ids=ids)
        expected = self.out.read_bytes()
        colearn.write_dataset(self.out, self.arrays, self.labels, by_id, ids=ids)
        self.assertEqual(self.out.read_bytes(), expected)

    def test_ids_and_groups_are_kept_in_the_order_of_the_splits(self) -> None:
        ids, groups = [f"ü{index}" for index in range(20)], [index % 3 for index in range(20)]
        colearn.write_dataset(self.out, self.arrays, self.labels, self.splits, ids=ids, groups=groups)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(json.loads(entries["ids"]), {"train": ids[:10], "valid": ids[10:14], "test": ids[14:]})
        self.assertEqual(json.loads(entries["groups"])["valid"], ["1", "2", "0", "1"])
        with self.assertRaisesRegex(colearn.DatasetError, "groups has 3"):
            colearn.write_dataset(self.out, self.arrays, self.labels, self.splits, groups=groups[:3])

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
        self.assertEqual(imported, self.written(self.arrays, self.labels, splits, ids=ids))

        # What `divide` does with groups, and the import with --groups.
        splits = colearn.divide(speakers, (0.5, 0.25, 0.25), seed=1)
        imported = self.imported(
            *given, "--groups", "meta.csv:speaker", "--split", "0.5,0.25,0.25", "--split-seed", "1",
            "--class-names", "calm,angry",
        )  # fmt: skip
        options = {"classes": ["calm", "angry"], "ids": ids, "groups": speakers}
        self.assertEqual(imported, self.written(self.arrays, self.labels, splits, **options))

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
                ids = [f"c{index:02}" for index in range(20)]
                expected = self.written({"clips": fitted}, self.labels, self.splits, ids=ids)
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


if __name__ == "__main__":
    unittest.main()
