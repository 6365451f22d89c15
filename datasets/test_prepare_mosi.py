"""Tests of prepare_mosi.py and multimodal_sdk.py on small generated files, and on real files if they exist
in $COLEARN_TEST_DATA or ../shared/data (mmmo/*.h5, mosi/*.csd)."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import h5py
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import multimodal_sdk
    import prepare_mosi as prepare
except ImportError as error:
    raise unittest.SkipTest(f"needs h5py, numpy and safetensors: {error}") from error

REAL = Path(os.environ.get("COLEARN_TEST_DATA", HERE.parent.parent / "shared" / "data"))
SIZES = {"train": 6, "valid": 3, "test": 4}


def clips(split: str, steps: int = 20, widths: tuple[int, ...] = (300, 5, 20)) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of language, audio and video, clip i padded in front by i steps; and labels."""
    random = np.random.default_rng(len(split))
    count = SIZES[split]
    features = [random.normal(size=(count, steps, width)) for width in widths]
    for array in features:
        for clip in range(count):
            array[clip, :clip] = 0.0
    return features, np.linspace(-3, 3, count)


class MosiTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "data" / "mosi.safetensors"

    def run_main(self, *arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = prepare.main([*map(str, arguments), "--out", str(self.out)])
        return status, out.getvalue(), err.getvalue()

    def prepared(self, *arguments: object) -> tuple[dict[str, np.ndarray], str]:
        status, out, err = self.run_main(*arguments)
        self.assertEqual(status, 0, err)
        return load_file(self.out), out

    def assert_fails(self, *parts: str, arguments: tuple) -> None:
        status, _, err = self.run_main(*arguments)
        self.assertEqual(status, 1)
        for part in parts:
            self.assertIn(part, err)
        self.assertEqual(len(err.splitlines()), 1, "one plain line, no traceback")
        self.assertFalse(self.out.exists())

    def assert_stops(self, *arguments: object) -> str:
        """A usage error; returns what it says."""
        with self.assertRaises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()) as err:
            prepare.main(list(map(str, arguments)))
        self.assertEqual(stopped.exception.code, 2)
        return err.getvalue()

    def array(self, name: str, array: np.ndarray, key: str = "data") -> None:
        with h5py.File(self.folder / name, "w") as file:
            file[key] = array


class H5Test(MosiTest):
    def write_together(self, splits: tuple[str, ...] = ("train", "valid", "test")) -> None:
        for split in splits:
            features, labels = clips(split)
            self.array(f"X_{split}.h5", np.concatenate(features, axis=2), key="d1" if split == "test" else "data")
            self.array(f"y_{split}.h5", labels)

    def test_files_with_everything_together(self) -> None:
        self.write_together()
        tensors, out = self.prepared("h5", self.folder)
        for split in SIZES:
            features, labels = clips(split)
            for name, array in zip(("language", "audio", "video"), features, strict=True):
                np.testing.assert_allclose(tensors[f"{split}/{name}"], array, rtol=1e-6)
            np.testing.assert_allclose(tensors[f"{split}/labels"], labels, rtol=1e-6)
            self.assertEqual(tensors[f"{split}/labels"].dtype, np.float32)
        self.assertIn("nothing was dropped", out)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(entries["task"], "regression")
        self.assertNotIn("classes", entries)
        self.assertEqual(json.loads(entries["modalities"]), ["language", "audio", "video"])
        self.assertIn("as published", entries["preparation"])
        self.assertIn("recorded as CMU-MOSI", out)
        _, out = self.prepared("h5", self.folder, "--source", "MOSEI", "--licence", "theirs")
        self.assertNotIn("recorded as", out)
        with safe_open(self.out, "numpy") as file:
            self.assertEqual((file.metadata()["source"], file.metadata()["licence"]), ("MOSEI", "theirs"))

    def test_a_file_for_each_modality_gives_the_same_tensors(self) -> None:
        self.write_together()
        expected, _ = self.prepared("h5", self.folder)
        for split in SIZES:
            (self.folder / f"X_{split}.h5").unlink()
            for name, array in zip(("text_{}_emb", "audio_{}", "video_{}"), clips(split)[0], strict=True):
                self.array(name.format(split) + ".h5", array, key="d1")
        tensors, _ = self.prepared("h5", self.folder)
        for name, tensor in expected.items():
            np.testing.assert_array_equal(tensors[name], tensor)

    def test_other_widths(self) -> None:
        self.write_together()
        tensors, _ = self.prepared("h5", self.folder, "--widths", "301,14,10")
        self.assertEqual(tensors["test/audio"].shape, (4, 20, 14))
        np.testing.assert_allclose(tensors["test/audio"][:, :, 0], clips("test")[0][1][:, :, 1], rtol=1e-6)
        self.out.unlink()
        self.assert_fails("X_train.h5", "--widths", arguments=("h5", self.folder, "--widths", "300,74,20"))
        self.assertIn("three numbers", self.assert_stops("h5", self.folder, "--widths", "300,5"))

    def test_shorter_and_longer_sentences(self) -> None:
        self.write_together()
        tensors, _ = self.prepared("h5", self.folder, "--steps", "15")
        np.testing.assert_allclose(tensors["train/audio"], clips("train")[0][1][:, 5:], rtol=1e-6)
        tensors, _ = self.prepared("h5", self.folder, "--steps", "25")
        self.assertTrue((tensors["train/audio"][:, :5] == 0).all())
        np.testing.assert_allclose(tensors["train/audio"][:, 5:], clips("train")[0][1], rtol=1e-6)

    def test_infinite_audio_becomes_zero_and_is_counted(self) -> None:
        self.write_together()
        features, _ = clips("train")
        features[1][0, 7, :2] = -np.inf
        features[1][3, 7, 4] = np.nan
        self.array("X_train.h5", np.concatenate(features, axis=2))
        tensors, out = self.prepared("h5", self.folder)
        self.assertTrue((tensors["train/audio"][0, 7, :2] == 0).all())
        self.assertIn("noted 3: audio values that were NaN or infinite and became 0", out)

    def test_standardised_audio(self) -> None:
        self.write_together()
        tensors, _ = self.prepared("h5", self.folder, "--scale", "standard")
        real = (tensors["train/language"] != 0).any(axis=2)
        for name in ("audio", "video"):
            np.testing.assert_allclose(tensors[f"train/{name}"][real].mean(axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(tensors[f"train/{name}"][real].std(axis=0), 1, atol=1e-5)
            self.assertTrue((tensors[f"train/{name}"][~real] == 0).all())
        np.testing.assert_allclose(tensors["train/language"], clips("train")[0][0], rtol=1e-6)

    def test_a_missing_split(self) -> None:
        self.write_together(("valid", "test"))
        self.assert_fails("no train split", "--resplit", arguments=("h5", self.folder))
        tensors, _ = self.prepared("h5", self.folder, "--resplit", "--seed", "5")
        self.assertEqual([len(tensors[f"{split}/labels"]) for split in SIZES], [5, 1, 1])
        content = self.out.read_bytes()
        self.assertIn(b"divided anew at random by clip, seed 5", content)
        self.prepared("h5", self.folder, "--resplit", "--seed", "5")
        self.assertEqual(self.out.read_bytes(), content)
        # Features and labels stay together.
        known = {}
        for split in ("valid", "test"):
            features, labels = clips(split)
            known |= {float(np.float32(label)): clip for label, clip in zip(labels, features[0], strict=True)}
        inner = 0
        for split in SIZES:
            for label, clip in zip(tensors[f"{split}/labels"], tensors[f"{split}/language"], strict=True):
                if abs(label) < 3:  # The largest labels are in both.
                    np.testing.assert_allclose(clip, known[float(label)], rtol=1e-6)
                    inner += 1
        self.assertEqual(inner, 3)

    def test_labels_outside_the_range(self) -> None:
        self.write_together()
        self.array("y_valid.h5", np.array([1.0, 2.0, 5.0]))
        self.assert_fails("valid", "1 to 5", "--label-range", arguments=("h5", self.folder))
        self.prepared("h5", self.folder, "--label-range", "-3", "5")

    def test_files_that_do_not_fit(self) -> None:
        self.assert_fails("X_train.h5", arguments=("h5", self.folder))
        self.write_together()
        self.array("y_test.h5", np.zeros(9))
        self.assert_fails("4 clips", "9 have a label", arguments=("h5", self.folder))
        (self.folder / "y_test.h5").unlink()
        self.assert_fails("y_test.h5", arguments=("h5", self.folder))
        (self.folder / "y_test.h5").write_bytes((self.folder / "y_train.h5").read_bytes()[:500])
        self.assert_fails("y_test.h5", "download it again", arguments=("h5", self.folder))
        with h5py.File(self.folder / "y_test.h5", "w") as file:
            file["a"] = file["b"] = np.zeros(4)
        self.assert_fails("y_test.h5", "2 arrays", arguments=("h5", self.folder))

    @unittest.skipUnless((REAL / "mmmo" / "y_test.h5").exists(), f"ICT-MMMO is not in {REAL / 'mmmo'}")
    def test_real_files_of_the_mfn(self) -> None:
        self.assert_fails("no train split", arguments=("h5", REAL / "mmmo"))
        tensors, out = self.prepared("h5", REAL / "mmmo", "--resplit", "--label-range", "1", "5")
        self.assertEqual(tensors["train/language"].shape, (90, 20, 300))
        self.assertEqual(tensors["test/audio"].shape, (15, 20, 74))
        self.assertEqual(tensors["valid/video"].shape, (15, 20, 36))
        self.assertNotIn("moved to the front", out)


class CsdTest(MosiTest):
    """Four videos of two segments; words of half a second from 1 s on, every third a pause."""

    def setUp(self) -> None:
        super().setUp()
        words, labels, audio, video = {}, {}, {}, {}
        self.videos = ["vid-a", "vid_b", "c", "d"]
        for number, name in enumerate(self.videos):
            starts = 1.0 + 0.5 * np.arange(12)
            texts = np.array([[b"sp" if i % 3 == 2 else f"word{i % 3}".encode()] for i in range(12)])
            words[name] = (np.stack([starts, starts + 0.5], axis=1), texts)
            labels[name] = (np.array([[1.0, 4.0], [4.0, 7.0]]), np.array([[number - 1.5], [0.25]], dtype=np.float32))
            at = np.arange(0, 10, 0.125)  # 4 frames a word.
            values = np.stack([at, np.full(len(at), number), -at], axis=1)
            values[8, 1] = -np.inf
            audio[name] = (np.stack([at, at + 0.125], axis=1), values)
            # In parts, with names as in the SDK.
            video[f"{name}[10]"] = (np.array([[2.0, 3.0]]), np.array([[5.0]]))
            video[f"{name}[2]"] = (np.array([[1.0, 2.0]]), np.array([[3.0]]))
        self.paths = {
            kind: self.write(f"{kind}.csd", content)
            for kind, content in (("words", words), ("labels", labels), ("audio", audio), ("video", video))
        }
        self.glove = self.folder / "glove.txt"
        self.glove.write_text("".join(f"word{i} " + " ".join([str(i + 0.5)] * 300) + "\n" for i in range(2)))
        self.folds = self.folder / "folds.json"
        self.folds.write_text(json.dumps({"train": ["vid_b", "vid-a"], "valid": ["c"], "test": ["d"]}))

    def write(self, name: str, content: dict) -> Path:
        path = self.folder / name
        with h5py.File(path, "w") as file:
            root = file.create_group(f"root of {name}")
            root.create_group("metadata")
            for video, (intervals, features) in content.items():
                group = root.create_group(f"data/{video}")
                group["intervals"], group["features"] = intervals, features
        return path

    def arguments(self, *more: object, kinds: tuple[str, ...] = ("audio", "video")) -> tuple:
        files = [part for kind in ("labels", "words", *kinds) for part in (f"--{kind}", self.paths[kind])]
        return ("csd", *files, "--glove", self.glove, "--folds", self.folds, *more)

    def test_alignment_by_hand(self) -> None:
        tensors, out = self.prepared(*self.arguments())
        self.assertEqual(tensors["train/labels"].tolist(), [-1.5, 0.25, -0.5, 0.25])
        self.assertEqual(tensors["test/labels"].tolist(), [1.5, 0.25])
        language = tensors["train/language"]
        self.assertEqual(language.shape, (4, 20, 300))
        # Six words of 1 to 4 s, two of them pauses.
        self.assertEqual(language[0, :, 7].tolist(), [0.0] * 16 + [0.5, 1.5, 0.5, 1.5])
        # Words at 1, 1.5, 2.5 and 3 s: the mean of four frames begins at the word and ends 0.125 s before its end.
        np.testing.assert_allclose(tensors["train/audio"][0, 16:, 0], np.array([1, 1.5, 2.5, 3]) + 0.1875, rtol=1e-6)
        # vid_b is number 1; a value at 1.0 s was infinite.
        np.testing.assert_allclose(tensors["train/audio"][2, 16:, 1], [1, 1, 1, 1], rtol=1e-6)
        np.testing.assert_allclose(tensors["train/video"][0, 16:, 0], [3, 3, 5, 0], rtol=1e-6)
        self.assertIn("noted 4: audio values that are NaN or infinite and left out of the means", out)
        self.assertIn("every word has a vector", out)
        self.assertIn("steps of the 8 clips: 4 to 4, median 4 (4: 8)", out)
        # Of 4 videos: the word at 3 s and the four words of the second segment.
        self.assertIn("noted 20: words without video, which are zeros there", out)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertIn("folds.json", entries["preparation"])
        ids, groups = json.loads(entries["ids"]), json.loads(entries["groups"])
        self.assertEqual(ids["test"], ["d[0]", "d[1]"])
        self.assertEqual(groups["train"], ["vid-a", "vid-a", "vid_b", "vid_b"])
        self.assertEqual([name[:-3] for name in ids["train"]], groups["train"])

    def test_chosen_columns_and_no_video(self) -> None:
        tensors, _ = self.prepared(*self.arguments("--audio-columns", "2,0", kinds=("audio",)))
        self.assertEqual({name for name in tensors if "test/" in name}, {"test/audio", "test/labels", "test/language"})
        np.testing.assert_allclose(tensors["train/audio"][0, 16], [-1.1875, 1.1875], rtol=1e-6)
        self.out.unlink()
        self.assert_fails("audio.csd", "columns 0 to 2", arguments=self.arguments("--audio-columns", "3"))

    def test_word_vectors_as_a_sequence(self) -> None:
        starts = 1 + 0.5 * np.arange(12)
        rows = (np.stack([starts, starts + 0.5], axis=1), np.arange(24.0).reshape(12, 2))
        vectors = dict.fromkeys(("vid-a", "vid_b", "c", "d"), rows)
        path = self.write("vectors.csd", vectors)
        arguments = [part for part in self.arguments() if part not in ("--glove", self.glove)]
        tensors, _ = self.prepared(*arguments, "--vectors", path)
        # Exactly the word's own row: neighbours that only touch the word do not count.
        self.assertEqual(tensors["train/language"][0, 16:].tolist(), [[0, 1], [2, 3], [6, 7], [8, 9]])
        self.assertIn("not allowed with", self.assert_stops(*self.arguments(), "--vectors", path))

    def test_segments_without_words_and_shorter_than_one(self) -> None:
        with h5py.File(self.paths["labels"], "r+") as file:
            group = file["root of labels.csd/data/vid-a"]
            group["intervals"][...] = [[1.1, 1.1], [90.0, 91.0]]
        tensors, out = self.prepared(*self.arguments())
        self.assertEqual(len(tensors["train/labels"]), 3)
        self.assertEqual(np.count_nonzero(tensors["train/language"][0].any(axis=1)), 1)
        self.assertIn("dropped 1: no word within the segment: vid-a[1]", out)
        self.assertIn("noted 1: segments shorter than a word", out)

    def test_splits(self) -> None:
        arguments = [part for part in self.arguments() if part not in ("--folds", self.folds)]
        self.assert_fails("mosi_folds.json", "--folds", arguments=tuple(arguments))
        self.assert_fails("split", arguments=(*arguments, "--folds", "random", "--seed", "1"))  # 4 videos are too few.
        self.folds.write_text(json.dumps({"train": ["vid-a"], "valid": ["c"], "test": ["d", "gone"]}))
        tensors, out = self.prepared(*self.arguments())
        self.assertEqual(len(tensors["train/labels"]), 2)
        self.assertIn("dropped 1: video stands in no split's list: vid_b", out)
        self.assertIn("dropped 1: listed video has no labelled segment: gone", out)

    def test_the_published_lists_are_those_of_the_set(self) -> None:
        lists = {name: prepare.colearn_data.published_split(HERE / name) for name in prepare.FOLDS}
        sizes = {name: [len(folds[split]) for split in SIZES] for name, folds in lists.items()}
        self.assertEqual(sizes, {"mosi_folds.json": [52, 10, 31], "mosei_folds.json": [2249, 300, 678]})
        arguments = [part for part in self.arguments() if part not in ("--folds", self.folds)]
        for name, source in prepare.FOLDS.items():
            names = [*lists[name]["train"][:2], lists[name]["valid"][0], lists[name]["test"][0]]
            for path in self.paths.values():
                with h5py.File(path, "r+") as file:
                    data = next(iter(file.values()))["data"]
                    for key in sorted(data, key=len, reverse=True):
                        video, bracket, part = key.partition("[")
                        at = self.videos.index(video)
                        data.move(key, names[at] + bracket + part)
            self.videos = names
            tensors, out = self.prepared(*arguments)
            self.assertEqual([len(tensors[f"{split}/labels"]) for split in SIZES], [4, 2, 2])
            self.assertIn(f"recorded as {source}", out)

    def test_a_video_without_a_feature_is_said(self) -> None:
        with h5py.File(self.paths["audio"], "r+") as file:
            del file["root of audio.csd/data/c"]
        tensors, out = self.prepared(*self.arguments())
        self.assertTrue((tensors["valid/audio"] == 0).all())
        self.assertIn("dropped 1: video has no audio: zeros instead: c", out)

    def test_files_that_do_not_fit(self) -> None:
        words, labels = self.paths["words"], self.paths["labels"]
        self.paths["words"] = labels
        self.assert_fails("labels.csd", "one word a row", arguments=self.arguments())
        self.paths["words"] = self.folder / "missing.csd"
        self.assert_fails("missing.csd does not exist", arguments=self.arguments())
        self.paths["words"] = words
        words.write_bytes(words.read_bytes()[:1000])
        self.assert_fails("words.csd", "download it again", arguments=self.arguments())
        self.array("words.csd", np.zeros(3))
        self.assert_fails("words.csd", "is this a .csd file", arguments=self.arguments())

    def test_over_words_with_gaps(self) -> None:
        rows = multimodal_sdk.Rows(np.array([[0.0, 1.0], [1.0, 2.0], [5.0, 6.0]]), np.array([[2.0], [4.0], [9.0]]))
        pooled = multimodal_sdk.over_words(rows, np.array([[0.5, 1.5], [2.0, 5.0], [5.5, 9.0]]))
        self.assertEqual((pooled.values.ravel().tolist(), pooled.without_rows), ([3.0, 0.0, 9.0], 1))

    def test_a_constant_keeps_its_mean_however_many_frames_are_invalid(self) -> None:
        at = np.arange(0, 7, 0.01)
        for bad in (np.nan, np.inf, -np.inf):
            features = np.ones((len(at), 3), dtype=np.float32)
            features[::7] = bad
            rows = multimodal_sdk.Rows(np.stack([at, at + 0.01], axis=1), features)
            pooled = multimodal_sdk.over_words(rows, np.array([[0.0, 0.5], [0.5, 3.2], [3.2, 7.0]]))
            np.testing.assert_array_equal(pooled.values, 1.0)
            self.assertEqual((pooled.without_rows, pooled.without_values, pooled.gaps), (0, 0, 0))

    def test_each_feature_has_its_own_valid_frames_and_words_without_any_are_counted(self) -> None:
        nan = np.nan
        features = np.array([[1.0, nan], [3.0, 5.0], [nan, nan], [nan, -np.inf], [nan, 4.0]])
        rows = multimodal_sdk.Rows(np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]], dtype=float), features)
        pooled = multimodal_sdk.over_words(rows, np.array([[0.0, 2.0], [2.0, 4.0], [4.0, 5.0], [8.0, 9.0]]))
        self.assertEqual(pooled.values.tolist(), [[2, 5], [0, 0], [0, 4], [0, 0]])
        self.assertEqual((pooled.without_rows, pooled.without_values, pooled.gaps), (1, 1, 1))

    def test_words_without_a_valid_frame_are_said(self) -> None:
        with h5py.File(self.paths["audio"], "r+") as file:
            features = file["root of audio.csd/data/c/features"]
            features[8:12] = np.nan  # The word at 1 s.
            features[12:16, 1] = np.nan  # One feature of the word at 1.5 s.
        tensors, out = self.prepared(*self.arguments())
        self.assertEqual(tensors["valid/audio"][0, 16].tolist(), [0, 0, 0])
        np.testing.assert_allclose(tensors["valid/audio"][0, 17], [1.6875, 0, -1.6875])
        self.assertIn("noted 1: words whose audio is NaN or infinite in every row, which are zeros there", out)
        self.assertIn("noted 1: audio features that are NaN or infinite in every row of a word, now 0", out)
        self.assertIn("noted 19: audio values that are NaN or infinite and left out of the means", out)

    @unittest.skipUnless((REAL / "mosi" / "CMU_MOSI_Opinion_Labels.csd").exists(), f"MOSI is not in {REAL / 'mosi'}")
    def test_the_real_labels_and_words_give_the_published_sizes(self) -> None:
        self.glove.write_text("".join(f"{word} " + " ".join(["0.5"] * 300) + "\n" for word in ("the", "movie", "i")))
        tensors, out = self.prepared(
            "csd", "--labels", REAL / "mosi" / "CMU_MOSI_Opinion_Labels.csd", "--words",
            REAL / "mosi" / "CMU_MOSI_ModifiedTimestampedWords.csd", "--glove", self.glove,
        )  # fmt: skip
        self.assertEqual([len(tensors[f"{split}/labels"]) for split in SIZES], [1284, 229, 686])
        self.assertEqual(tensors["train/language"].shape, (1284, 20, 300))
        labels = np.concatenate([tensors[f"{split}/labels"] for split in SIZES])
        self.assertEqual((labels.min(), labels.max()), (-3, 3))
        self.assertIn("nothing was dropped", out)
        self.assertIn("steps of the 2199 clips: 1 to ", out)


if __name__ == "__main__":
    unittest.main()
