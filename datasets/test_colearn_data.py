"""Tests of colearn_data.py and safe_pickle.py, which the preparation scripts share, and of generate_paper_shapes.py."""

import contextlib
import io
import json
import pickle
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import colearn_data
    import generate_paper_shapes
    import safe_pickle
    from colearn_data import PrepareError
except ImportError as error:
    raise unittest.SkipTest(f"needs numpy and safetensors: {error}") from error


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "set.safetensors"


class WriteTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.entries = colearn_data.metadata(("language", "audio"), ("no", "yes"), "here", "none", "by hand")
        self.tensors = {}
        for split, count in (("train", 3), ("valid", 2), ("test", 1)):
            self.tensors[f"{split}/language"] = np.full((count, 4, 2), count, dtype=np.float32)
            self.tensors[f"{split}/audio"] = np.zeros((count, 4, 5), dtype=np.float32)
            self.tensors[f"{split}/labels"] = np.arange(count, dtype=np.int64) % 2

    def test_what_is_written_is_read_back(self) -> None:
        colearn_data.write(self.out, self.tensors, self.entries)
        read = load_file(self.out)
        self.assertEqual(set(read), set(self.tensors))
        for name, tensor in self.tensors.items():
            np.testing.assert_array_equal(read[name], tensor)
        with safe_open(self.out, "numpy") as file:
            self.assertEqual(file.metadata(), self.entries)
        self.assertEqual(self.entries["format"], "colearn-dataset/1")
        self.assertEqual(list(self.folder.iterdir()), [self.out])

    def test_what_colearn_would_refuse_is_refused_and_the_old_file_stays(self) -> None:
        self.out.write_bytes(b"old")

        def spoil(name: str, tensor: object) -> dict:
            return {**self.tensors, name: tensor}

        nan = self.tensors["valid/audio"].copy()
        nan[1, 2, 3] = np.nan
        cases = [
            (spoil("valid/audio", nan), {}, "valid/audio holds NaN"),
            (spoil("test/audio", np.zeros((1, 4, 6), dtype=np.float32)), {}, "test/audio"),
            (spoil("test/audio", np.zeros((1, 5, 5), dtype=np.float32)), {}, "test/audio"),
            (spoil("train/audio", np.zeros((3, 4, 5))), {}, "float64"),
            (spoil("train/labels", np.array([0, 1, 2])), {}, "outside the 2 classes"),
            (spoil("train/labels", np.array([0, -1, 1])), {}, "outside the 2 classes"),
            (spoil("train/labels", np.zeros(3, dtype=np.float32)), {}, "train/labels is float32"),
            (spoil("test/labels", np.zeros(0, dtype=np.int64)), {}, "the test split is empty"),
            (spoil("test/video", np.zeros((1, 4, 5), dtype=np.float32)), {}, "not those of modalities"),
            (self.tensors, {"modalities": '["language", "a udio"]'}, "'a udio'"),
            (self.tensors, {"modalities": '["language", "language"]'}, "distinct"),
            (self.tensors, {"classes": '["yes"]'}, "at least two"),
        ]
        for tensors, entries, message in cases:
            with self.subTest(message), self.assertRaises(PrepareError) as raised:
                colearn_data.write(self.out, tensors, {**self.entries, **entries})
            self.assertIn(message, str(raised.exception))
        self.assertEqual(self.out.read_bytes(), b"old")

    def test_a_write_that_fails_half_way_leaves_nothing(self) -> None:
        self.out.write_bytes(b"old")
        with mock.patch("colearn.os.fsync", side_effect=OSError("disk full")), self.assertRaises(OSError):
            colearn_data.write(self.out, self.tensors, self.entries)
        self.assertEqual([path.read_bytes() for path in self.folder.iterdir()], [b"old"])


class SplitTest(FolderTest):
    def test_the_papers_sizes(self) -> None:
        split = colearn_data.seeded_split((f"u{index}" for index in range(6877)), seed=0)
        self.assertEqual([len(split[name]) for name in colearn_data.SPLITS], [5157, 860, 860])
        self.assertEqual(len(set(split["train"]) | set(split["valid"]) | set(split["test"])), 6877)

    def test_the_split_depends_on_the_seed_and_not_on_the_order(self) -> None:
        names = [f"u{index}" for index in range(40)]
        split = colearn_data.seeded_split(names, seed=1)
        self.assertEqual(colearn_data.seeded_split(reversed(names), seed=1), split)
        self.assertNotEqual(colearn_data.seeded_split(names, seed=2), split)
        # Fixed names: another version of numpy or of this module must give the same split.
        self.assertEqual(split["test"], ["u1", "u16", "u18", "u25", "u8"])

    def test_published_lists(self) -> None:
        path = self.folder / "folds.json"
        good = {"train": ["a"], "valid": ["b"], "test": ["c", "d"]}
        path.write_text(json.dumps(good))
        self.assertEqual(colearn_data.published_split(path), good)
        for content, message in (
            ("{", "not JSON"),
            ('{"train": ["a"], "test": ["b"]}', "should hold"),
            ('{"train": ["a"], "valid": ["b"], "test": ["a"]}', "names a in train and again in test"),
            ('{"train": ["a"], "valid": "b", "test": ["c"]}', "list of names"),
        ):
            path.write_text(content)
            with self.subTest(content), self.assertRaises(PrepareError) as raised:
                colearn_data.published_split(path)
            self.assertIn(message, str(raised.exception))


class PartsTest(unittest.TestCase):
    def test_pad_front(self) -> None:
        steps = np.arange(6.0).reshape(3, 2)
        np.testing.assert_array_equal(colearn_data.pad_front(steps, 4), [[0, 0], [0, 1], [2, 3], [4, 5]])
        np.testing.assert_array_equal(colearn_data.pad_front(steps, 2), [[2, 3], [4, 5]])

    def test_standardise_leaves_padding_out(self) -> None:
        real = {split: np.array([[False, True, True]]) for split in colearn_data.SPLITS}
        tensors = {f"{split}/a": np.array([[[0.0], [4.0], [8.0]]], dtype=np.float32) for split in colearn_data.SPLITS}
        tensors["test/a"] = tensors["test/a"] + 2
        colearn_data.standardise(tensors, "a", real)
        np.testing.assert_allclose(tensors["train/a"].ravel(), [0, -1, 1])
        np.testing.assert_allclose(tensors["test/a"].ravel(), [0, 0, 2])

    def test_make_finite_counts(self) -> None:
        report = colearn_data.Report()
        made = colearn_data.make_finite(np.array([1.0, np.nan, -np.inf]), "audio", report)
        np.testing.assert_array_equal(made, [1, 0, 0])
        self.assertIn("noted 2: audio values that were NaN or infinite and became 0", report.lines())

    def test_progress_prints_plain_lines_where_there_is_no_terminal(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out, colearn_data.Progress("reading", 3) as progress:
            for _ in range(3):
                progress.step()
        self.assertEqual(out.getvalue(), "reading: 3 of 3, done\n")
        with contextlib.redirect_stdout(io.StringIO()) as out, mock.patch("time.monotonic", side_effect=[0, 1, 9, 10]):
            with colearn_data.Progress("reading") as progress:
                for _ in range(3):
                    progress.step()
        self.assertEqual(out.getvalue(), "reading: 2\nreading: 3, done\n")


class Attack:
    """A normal unpickler that reads this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


class SafePickleTest(FolderTest):
    def load(self, content: bytes) -> object:
        path = self.folder / "a.pkl"
        path.write_bytes(content)
        return safe_pickle.load(path)

    def test_arrays_and_containers_of_every_protocol(self) -> None:
        content = {
            "features": np.arange(6.0).reshape(2, 3),
            "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
            "ids": np.array(["a", "b"], dtype=object),
            "scalar": np.float32(2.5),
            "rest": [(1, None, True, b"bytes"), {"x"}],
        }
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with self.subTest(protocol=protocol):
                read = self.load(pickle.dumps(content, protocol))
                np.testing.assert_array_equal(read["features"], content["features"])
                np.testing.assert_array_equal(read["fortran"], content["fortran"])
                self.assertEqual((list(read["ids"]), read["scalar"], read["rest"]), (["a", "b"], 2.5, content["rest"]))

    def test_the_module_names_of_numpy_1_and_2(self) -> None:
        content = pickle.dumps(np.arange(3.0), 2)
        for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
            other = content.replace(b"numpy._core.multiarray", name).replace(b"numpy.core.multiarray", name)
            self.assertIn(name, other)
            np.testing.assert_array_equal(self.load(other), [0, 1, 2])

    def test_anything_else_is_refused_by_name_and_not_run(self) -> None:
        target = self.folder / "attacked"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            hidden = {"train": {"text": np.array([Attack(target)], dtype=object)}}
            with self.subTest(protocol=protocol), self.assertRaises(PrepareError) as raised:
                self.load(pickle.dumps(hidden, protocol))
            self.assertRegex(str(raised.exception), r"a\.pkl is refused: it asks for \w+\.open")
            self.assertFalse(target.exists())
        pickle.loads(pickle.dumps(Attack(target))).close()
        self.assertTrue(target.exists(), "the attack works where nobody minds")

    def test_other_names_of_allowed_modules(self) -> None:
        for content in (b"cnumpy\nload\n.", b"cbuiltins\neval\n.", b"c_codecs\ndecode\n.", b"cos\nsystem\n."):
            with self.subTest(content), self.assertRaises(PrepareError):
                self.load(content)

    def test_a_damaged_file(self) -> None:
        with self.assertRaises(PrepareError) as raised:
            self.load(pickle.dumps({"a": np.zeros(99)})[:-50])
        self.assertIn("a.pkl", str(raised.exception))


class GenerateTest(FolderTest):
    def run_main(self, *arguments: str) -> dict:
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(generate_paper_shapes.main(["--out", str(self.out), *arguments]), 0)
        return load_file(self.out)

    def test_the_papers_shapes(self) -> None:
        tensors = self.run_main("--kind", "mosi")
        for split, count in (("train", 1284), ("valid", 229), ("test", 686)):
            for name, width in (("language", 300), ("audio", 5), ("video", 20)):
                self.assertEqual(tensors[f"{split}/{name}"].shape, (count, 20, width))
        labels = tensors["train/labels"]
        self.assertTrue((np.abs(labels) <= 3).all() and labels.std() > 1)
        tensors = self.run_main("--kind", "iemocap", "--divisor", "100")
        self.assertEqual(tensors["train/video"].shape, (52, 30, 310))
        self.assertEqual(tensors["train/audio"].shape, (52, 30, 80))
        kind = generate_paper_shapes.KINDS["iemocap"]
        self.assertEqual((kind.sizes, len(kind.classes)), ((5157, 860, 860), 9))

    def test_padding_is_in_front_and_the_same_in_every_modality(self) -> None:
        tensors = self.run_main("--kind", "mosi", "--divisor", "10")
        padding = {name: (tensors[f"train/{name}"] == 0).all(axis=2) for name in ("language", "audio", "video")}
        np.testing.assert_array_equal(padding["language"], padding["video"])
        self.assertTrue(padding["language"].any())
        self.assertFalse((~padding["audio"][:, :-1] & padding["audio"][:, 1:]).any(), "no gap after a word")

    def test_it_says_that_it_is_generated_and_depends_on_the_seed(self) -> None:
        self.run_main("--kind", "mosi", "--divisor", "50")
        content = self.out.read_bytes()
        self.assertIn(b"GENERATED", content)
        self.run_main("--kind", "mosi", "--divisor", "50")
        self.assertEqual(self.out.read_bytes(), content)
        self.run_main("--kind", "mosi", "--divisor", "50", "--seed", "1")
        self.assertNotEqual(self.out.read_bytes(), content)

    def test_the_signal_can_be_learned(self) -> None:
        tensors = self.run_main("--kind", "mosi", "--divisor", "2")
        said = {}
        for split in ("train", "test"):
            words = (tensors[f"{split}/language"] != 0).any(axis=2).sum(axis=1)
            said[split] = tensors[f"{split}/language"].sum(axis=1) / words[:, None]
        weights = np.linalg.lstsq(said["train"], tensors["train/labels"], rcond=None)[0]
        self.assertGreater(np.corrcoef(said["test"] @ weights, tensors["test/labels"])[0, 1], 0.5)


if __name__ == "__main__":
    unittest.main()
