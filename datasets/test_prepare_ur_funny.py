"""Tests of prepare_ur_funny.py on generated pickles in the layout that its authors document."""

import contextlib
import io
import json
import os
import pickle
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

    import prepare_ur_funny as prepare
except ImportError as error:
    raise unittest.SkipTest(f"needs numpy and safetensors: {error}") from error

FOLDS = {"train": [11, 12, 13, 14], "dev": [21, 22], "test": [31, 32]}
WORDS = {11: 3, 12: 25, 13: 1, 14: 5, 21: 2, 22: 4, 31: 6, 32: 7}
VECTORS = [[0.0] * 300] + [[float(place)] * 300 for place in range(1, 40)]


class UrFunnyTest(unittest.TestCase):
    """Each test has its own files to damage."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "data" / "ur-funny.safetensors"
        random = np.random.default_rng(0)
        self.language = {
            name: {
                "punchline_embedding_indexes": list(range(1, words + 1)),
                "context_embedding_indexes": [[1, 2], [3]],
                "punchline_sentence": "it was funny",
                "punchline_intervals": [(0.0, 0.5)],
            }
            for name, words in WORDS.items()
        }
        self.frames = {
            file: {
                name: {
                    "punchline_features": random.normal(size=(words, width)).tolist(),
                    "context_features": [random.normal(size=(2, width)).tolist()],
                }
                for name, words in WORDS.items()
            }
            for file, width in (("covarep_features_sdk", 81), ("openface_features_sdk", 371))
        }
        self.labels = {name: name % 2 for name in WORDS}
        self.vectors: object = VECTORS
        self.folds: dict = dict(FOLDS)

    def write(self) -> None:
        files = {
            "data_folds": self.folds, "humor_label_sdk": self.labels, "language_sdk": self.language,
            "word_embedding_list": self.vectors, **self.frames,
        }  # fmt: skip
        for name, content in files.items():
            (self.folder / f"{name}.pkl").write_bytes(pickle.dumps(content, 2))

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        self.write()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = prepare.main([str(self.folder), "--out", str(self.out), *arguments])
        return status, out.getvalue(), err.getvalue()

    def prepared(self, *arguments: str) -> tuple[dict[str, np.ndarray], str]:
        status, out, err = self.run_main(*arguments)
        self.assertEqual(status, 0, err)
        return load_file(self.out), out

    def assert_fails(self, *parts: str) -> None:
        status, _, err = self.run_main()
        self.assertEqual(status, 1)
        for part in parts:
            self.assertIn(part, err)
        self.assertEqual(len(err.splitlines()), 1, "one plain line, no traceback")
        self.assertFalse(self.out.exists())

    def test_values_by_hand(self) -> None:
        tensors, out = self.prepared("--scale", "raw")
        for split, key in (("train", "train"), ("valid", "dev"), ("test", "test")):
            self.assertEqual(tensors[f"{split}/labels"].tolist(), [name % 2 for name in FOLDS[key]])
            for at, name in enumerate(FOLDS[key]):
                words = min(WORDS[name], 20)
                language = tensors[f"{split}/language"][at, :, 7]
                self.assertEqual(language.tolist(), [0.0] * (20 - words) + [float(i) for i in range(1, words + 1)])
                for modality, file in (("audio", "covarep_features_sdk"), ("video", "openface_features_sdk")):
                    given = np.array(self.frames[file][name]["punchline_features"])[:20]
                    made = tensors[f"{split}/{modality}"][at]
                    np.testing.assert_allclose(made[20 - words :], given, rtol=1e-6)
                    self.assertTrue((made[: 20 - words] == 0).all())
        self.assertEqual((tensors["train/audio"].shape[2], tensors["train/video"].shape[2]), (81, 371))
        self.assertIn("noted 1: punchlines longer than 20 words, of which the first are used", out)
        self.assertIn("nothing was dropped", out)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(json.loads(entries["classes"]), ["serious", "humorous"])
        self.assertIn("without its context", entries["preparation"])
        ids = {split: [str(name) for name in FOLDS[key]] for split, key in prepare.FOLDS.items()}
        self.assertEqual(json.loads(entries["ids"]), ids)
        self.assertNotIn("groups", entries)

    def test_standardised_over_words_alone(self) -> None:
        tensors, _ = self.prepared()
        real = np.arange(20) >= 20 - np.array([WORDS[name] for name in FOLDS["train"]])[:, None]
        for modality in ("audio", "video"):
            train = tensors[f"train/{modality}"]
            np.testing.assert_allclose(train[real].mean(axis=0), 0.0, atol=1e-5)
            self.assertTrue((train[~real] == 0).all())
        self.assertEqual(tensors["train/language"][0, 19, 0], 3.0, "vectors are not scaled")

    def test_what_is_dropped_and_changed_is_said(self) -> None:
        self.frames["covarep_features_sdk"][11]["punchline_features"] = []
        del self.frames["openface_features_sdk"][12]
        self.frames["openface_features_sdk"][22]["punchline_features"].pop()
        del self.labels[31]
        self.frames["covarep_features_sdk"][13]["punchline_features"][0][5] = -np.inf
        tensors, out = self.prepared()
        self.assertEqual([len(tensors[f"{split}/labels"]) for split in ("train", "valid", "test")], [2, 1, 1])
        for line in (
            "dropped 1: has no audio for its punchline: 11",
            "dropped 1: has no video for its punchline: 12",
            "dropped 1: its modalities have different numbers of words: 22",
            "dropped 1: has no label 0 or 1: 31",
            "noted 1: audio values that were NaN or infinite",
        ):
            self.assertIn(line, out)

    def test_files_that_do_not_fit(self) -> None:
        self.vectors = VECTORS[:10]
        self.assert_fails("language_sdk.pkl: clip 12 has word 25", "10 vectors")
        self.vectors = {"a": 1}
        self.assert_fails("word_embedding_list.pkl holds dict, expected list")
        self.vectors = VECTORS
        self.folds = {"train": [11], "test": [31]}
        self.assert_fails("data_folds.pkl has train, test; expected train, dev, test")
        self.folds = {**FOLDS, "test": [31, 11]}
        self.assert_fails("1 ids in two places")
        self.folds = {**FOLDS, "dev": [99]}
        self.assert_fails("no usable clip for the valid split")
        self.folds = FOLDS
        self.language[13] = {"punchline_features": [1]}
        self.assert_fails("language_sdk.pkl: clip 13 has punchline_features; expected punchline_embedding_indexes")

    def test_features_of_another_width_or_form(self) -> None:
        audio = self.frames["covarep_features_sdk"]
        audio[14]["punchline_features"] = [[1.0] * 80] * 5
        self.assert_fails("covarep_features_sdk.pkl: clip 14 has 80 features, others have 81")
        audio[14]["punchline_features"] = [1.0] * 5
        self.assert_fails("covarep_features_sdk.pkl: clip 14 has shape (5,)")
        audio[14]["punchline_features"] = [[1.0], [1.0, 2.0]]
        self.assert_fails("covarep_features_sdk.pkl: clip 14 is no array of numbers")

    def test_a_file_is_missing(self) -> None:
        self.write()
        (self.folder / "humor_label_sdk.pkl").unlink()
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(prepare.main([str(self.folder), "--out", str(self.out)]), 1)
        self.assertIn("humor_label_sdk.pkl does not exist; datasets/README.md", err.getvalue())

    def test_a_malicious_pickle_is_refused_and_not_run(self) -> None:
        target = self.folder / "attacked"

        class Attack:
            def __reduce__(self) -> tuple:
                return (os.mkdir, (str(target),))

        self.labels[11] = Attack()
        self.assert_fails("humor_label_sdk.pkl is refused", ".mkdir")
        self.assertFalse(target.exists())


if __name__ == "__main__":
    unittest.main()
