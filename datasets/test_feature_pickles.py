"""Tests of prepare_mosi.py pickle and clips.py: pickles in the forms of MulT, MMSA and MultiBench, made here."""

import json
import os
import pickle
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    from safetensors import safe_open

    import clips as clips_module
    from test_prepare_mosi import SIZES, MosiTest, clips
except ImportError as error:
    raise unittest.SkipTest(f"needs h5py, numpy and safetensors: {error}") from error


class PickleTest(MosiTest):
    def content(self, at_end: bool = False, labels: str = "labels") -> dict:
        made = {}
        for split in SIZES:
            features, values = clips(split, steps=50)
            for clip in range(len(values)):
                for array in features:
                    array[clip, : 20 + clip] = 0.0
                    if at_end:
                        array[clip] = np.roll(array[clip], -20 - clip, axis=0)
            made[split] = {
                "text": features[0].astype(np.float32), "audio": features[1], "vision": features[2],
                labels: values[:, None, None] if labels == "labels" else values,
                "id": np.array([[f"video{split}", clip, clip + 1.5] for clip in range(len(values))], dtype=object),
            }  # fmt: skip
        return made

    def write(self, content: object, protocol: int = 4) -> Path:
        path = self.folder / "mosi.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    def test_mult_and_mmsa(self) -> None:
        content = self.content()
        mult, _ = self.prepared("pickle", self.write(content, protocol=2))
        self.assertEqual(mult["train/video"].shape, (6, 20, 20))
        np.testing.assert_allclose(mult["train/video"], content["train"]["vision"][:, 30:], rtol=1e-6)
        np.testing.assert_allclose(mult["train/labels"], np.linspace(-3, 3, 6), rtol=1e-6)
        mmsa = self.content(labels="regression_labels")
        for split in SIZES:
            count = SIZES[split]
            mmsa[split]["classification_labels"] = np.zeros(count)
            # Clip i has 20 + i steps of padding in front, which BERT's own mask never has; the reader does not mind.
            mask = np.arange(50) >= 20 + np.arange(count)[:, None]
            mmsa[split]["text_bert"] = np.stack([mask * 7, mask, mask * 0], axis=1)
        tensors, _ = self.prepared("pickle", self.write(mmsa))
        for name, tensor in mult.items():
            np.testing.assert_array_equal(tensors[name], tensor)

    def names(self) -> tuple[dict | None, dict | None]:
        """The ids and groups in the file."""
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        return tuple(json.loads(entries.get(key, "null")) for key in ("ids", "groups"))

    def test_the_names_of_clips_and_videos(self) -> None:
        content = self.content()
        self.prepared("pickle", self.write(content))
        ids, groups = self.names()
        self.assertEqual(ids["valid"][:2], ["videovalid-0-1.5", "videovalid-1-2.5"])
        self.assertEqual(set(groups["test"]), {"videotest"})
        for form, video in ((b"a_b[{}]", "a_b"), ("a_b$_${}", "a_b"), ("a_b_{}", None)):
            for arrays in content.values():
                texts = [str(form, "ascii").format(clip).encode() if isinstance(form, bytes) else form.format(clip)
                         for clip in range(len(arrays["vision"]))]  # fmt: skip
                arrays["id"] = np.array(texts)
            self.prepared("pickle", self.write(content))
            ids, groups = self.names()
            self.assertEqual(ids["train"][1], (form if isinstance(form, str) else form.decode()).format(1))
            self.assertEqual(groups and set(groups["train"]), video and {video})
        # After another division the names are still those of the clips.
        for split, arrays in content.items():
            arrays["id"] = [f"{split}[{round(1000 * label + 5000)}]" for label in arrays["labels"].ravel()]
        tensors, _ = self.prepared("pickle", self.write(content), "--resplit")
        ids, groups = self.names()
        for split in SIZES:
            for name, group, label in zip(ids[split], groups[split], tensors[f"{split}/labels"], strict=True):
                self.assertEqual(name, f"{group}[{round(1000 * label + 5000)}]")
        # What does not name each clip once is no list of names.
        for wrong in (lambda count: ["same"] * count, lambda count: [str(at) for at in range(count + 1)], lambda _: 7):
            content["valid"]["id"] = wrong(len(content["valid"]["vision"]))
            self.prepared("pickle", self.write(content))
            self.assertEqual(self.names(), (None, None))

    def test_padding_at_the_end_is_moved_to_the_front(self) -> None:
        expected, _ = self.prepared("pickle", self.write(self.content()))
        tensors, out = self.prepared("pickle", self.write(self.content(at_end=True)))
        for name, tensor in expected.items():
            np.testing.assert_array_equal(tensors[name], tensor)
        self.assertIn("noted 13: clips padded at the end", out)
        tensors, _ = self.prepared("pickle", self.write(self.content(at_end=True)), "--padding", "front")
        self.assertTrue((tensors["train/audio"] == 0).all(), "the last 20 steps as they stand are padding")

    def test_a_pause_at_the_end_is_no_padding(self) -> None:
        content = self.content()
        for key in ("text", "audio", "vision"):
            content["train"][key][0] = 1.0
            content["train"][key][0, 49] = 0.0
        tensors, _ = self.prepared("pickle", self.write(content))
        self.assertTrue((tensors["train/audio"][0, 19] == 0).all())
        self.assertTrue((tensors["train/audio"][0, :19] == 1).all())

    def test_a_malicious_pickle_is_refused_and_not_run(self) -> None:
        target = self.folder / "attacked"

        class Attack:
            def __reduce__(self) -> tuple:
                return (os.mkdir, (str(target),))

        content = self.content()
        content["test"]["meta"] = Attack()
        self.assert_fails("mosi.pkl is refused", ".mkdir", arguments=("pickle", self.write(content)))
        self.assertFalse(target.exists())

    def test_pickles_of_another_form(self) -> None:
        self.assert_fails("another form", arguments=("pickle", self.write([1, 2])))
        content = self.content()
        content["train"]["audio"] = np.zeros((6, 375, 5))
        self.assert_fails("numbers of steps differ", "aligned", arguments=("pickle", self.write(content)))
        content = self.content()
        content["valid"] = {"text_bert": np.zeros((3, 3, 50))}
        self.assert_fails("valid has text_bert", arguments=("pickle", self.write(content)))
        content = self.content()
        content["valid"]["text"] = content["valid"]["text"].tolist()
        self.assert_fails("language is list", arguments=("pickle", self.write(content)))
        content = self.content()
        del content["valid"]["audio"]
        self.assert_fails("another split", arguments=("pickle", self.write(content)))


class MmsaTest(MosiTest):
    """aligned_50.pkl of MMSA: 50 tokens of BERT, padded at the end, where text is BERT's embedding of padding."""

    COUNTS = {"train": 40, "valid": 10, "test": 10}

    def lengths(self, split: str) -> np.ndarray:
        return np.random.default_rng(self.COUNTS[split]).integers(5, 51, self.COUNTS[split])

    def content(self) -> dict:
        made = {}
        for split, count in self.COUNTS.items():
            random = np.random.default_rng(count)
            mask = np.arange(50) < self.lengths(split)[:, None]
            made[split] = {
                "raw_text": np.array(["some words"] * count, dtype=object),
                "id": np.array([f"video$_${clip}" for clip in range(count)], dtype=object),
                "text": random.normal(size=(count, 50, 768)).astype(np.float32),
                "audio": random.normal(size=(count, 50, 5)) * mask[:, :, None],
                "vision": random.normal(size=(count, 50, 20)) * mask[:, :, None],
                "text_bert": np.stack([mask * 2000, mask, np.zeros_like(mask)], axis=1).astype(np.float32),
                "regression_labels": np.linspace(-3, 3, count),
                "classification_labels": np.zeros(count),
                "annotations": ["Neutral"] * count,
            }
        return made

    def write(self, content: dict) -> Path:
        path = self.folder / "aligned_50.pkl"
        path.write_bytes(pickle.dumps(content, 4))
        return path

    def without(self, key: str, **renamed: str) -> Path:
        content = self.content()
        for arrays in content.values():
            del arrays[key]
            for new, old in renamed.items():
                arrays[new] = arrays.pop(old)
        return self.write(content)

    def test_the_mask_says_where_the_padding_is(self) -> None:
        content = self.content()
        tensors, out = self.prepared("pickle", self.write(content))
        for split in self.COUNTS:
            for clip, length in enumerate(self.lengths(split)):
                kept = min(length, 20)
                for name, key in (("language", "text"), ("audio", "audio"), ("video", "vision")):
                    made = tensors[f"{split}/{name}"][clip]
                    np.testing.assert_allclose(made[20 - kept :], content[split][key][clip, length - kept : length])
                    self.assertTrue((made[: 20 - kept] == 0).all(), "BERT's embeddings of padding are not kept")
        lengths = np.concatenate([self.lengths(split) for split in self.COUNTS])
        spread = f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):g}"
        self.assertIn(f"steps of the 60 clips: {spread} (", out)
        self.assertIn(f"6-10: {((lengths > 5) & (lengths < 11)).sum()},", out)
        self.assertIn(f"{(lengths > 20).sum()} clips are longer than 20: their last 20 steps are kept", out)
        self.assertNotIn("zeros in every step", out)
        with safe_open(self.out, "numpy") as file:
            self.assertIn("padding by the mask of text_bert", file.metadata()["preparation"])

    def test_every_step_is_kept_if_asked_for(self) -> None:
        tensors, out = self.prepared("pickle", self.write(self.content()), "--steps", "50")
        present = (tensors["train/audio"] != 0).any(axis=2)
        np.testing.assert_array_equal(present.sum(axis=1), self.lengths("train"))
        self.assertNotIn("are longer than", out)

    def test_only_tokens_are_standardised(self) -> None:
        tensors, _ = self.prepared("pickle", self.write(self.content()), "--scale", "standard")
        kept = np.arange(20) >= 20 - self.lengths("train")[:, None]
        audio = tensors["train/audio"]
        np.testing.assert_allclose(audio[kept].mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(audio[kept].std(axis=0), 1.0, atol=1e-5)
        self.assertTrue((audio[~kept] == 0).all())

    def test_without_text_bert_it_is_refused(self) -> None:
        path = self.without("text_bert")
        self.assert_fails("form of MMSA and has no text_bert", "--padding zeros", arguments=("pickle", path))
        self.assert_fails("has no text_bert", arguments=("pickle", path, "--padding", "mask"))

    def test_zeros_by_option_say_what_is_lost(self) -> None:
        lost = sum(int((self.lengths(split) <= 30).sum()) for split in self.COUNTS)
        self.assertGreater(lost, 20)
        for path in (self.without("text_bert"), self.write(self.content())):
            tensors, out = self.prepared("pickle", path, "--padding", "zeros")
            empty = sum(int((tensors[f"{split}/audio"] == 0).all(axis=(1, 2)).sum()) for split in self.COUNTS)
            self.assertEqual(empty, lost)
            self.assertIn(f"noted {lost}: clips whose audio is only in steps that were cut off: zeros now", out)

    def test_another_form_that_would_lose_a_modality_is_refused_too(self) -> None:
        path = self.without("text_bert", labels="regression_labels")
        self.assert_fails(
            "clips would lose all of their audio", "--padding", "--steps", arguments=("pickle", path)
        )
        self.prepared("pickle", path, "--steps", "50")

    def test_features_that_are_not_those_of_the_tokens_are_refused(self) -> None:
        content = self.content()
        for split, arrays in content.items():
            for clip, length in enumerate(self.lengths(split)):  # Padded in front, unlike text_bert.
                arrays["audio"][clip] = np.roll(arrays["audio"][clip], 50 - length, axis=0)
        path = self.write(content)
        self.assert_fails("padding by the mask of text_bert", "--padding zeros", arguments=("pickle", path))

    def test_a_stray_value_in_the_padding_is_noted(self) -> None:
        content = self.content()
        clip = int(self.lengths("train").argmin())
        content["train"]["audio"][clip, 49] = 1.0
        tensors, out = self.prepared("pickle", self.write(content))
        self.assertIn("noted 1: clips with audio or video in steps that are padding, which became 0", out)
        self.assertFalse((tensors["train/audio"][clip, 19] == 1).all())

    def test_clips_without_a_modality_are_counted(self) -> None:
        content = self.content()
        content["train"]["vision"][3:5] = 0.0
        _, out = self.prepared("pickle", self.write(content))
        self.assertIn("noted 2: clips without video: zeros in every step", out)
        for arrays in content.values():
            arrays["vision"][:] = 0.0
        self.out.unlink()
        self.assert_fails("video is zero in every clip", arguments=("pickle", self.write(content)))

    def test_masks_that_are_none(self) -> None:
        def spoiled(change) -> tuple:
            content = self.content()
            content["valid"]["text_bert"] = change(content["valid"]["text_bert"])
            return ("pickle", self.write(content))

        def mask(array: np.ndarray, at: object, value: float) -> np.ndarray:
            array[:, 1][at] = value
            return array

        self.assert_fails("(valid): text_bert is", "(10, 3, 50)", arguments=spoiled(lambda array: array[:, :2]))
        self.assert_fails("(valid): text_bert is", arguments=spoiled(lambda array: array[:9]))
        self.assert_fails("no attention mask", arguments=spoiled(lambda array: array[:, [1, 0, 2]]))
        self.assert_fails("gaps", "clip 2", arguments=spoiled(lambda array: mask(array, (2, 0), 0)))
        self.assert_fails("no tokens", "clip 4", arguments=spoiled(lambda array: mask(array, 4, 0)))

    def test_lengths_in_words(self) -> None:
        lines = clips_module.length_lines(np.array([0, 1, 1, 4, 12]), 5)
        self.assertEqual(lines[0], "steps of the 5 clips: 0 to 12, median 1 (0: 1, 1-2: 2, 3-4: 1, 11-12: 1)")
        self.assertEqual(lines[1:], ["1 clips are longer than 5: their last 5 steps are kept"])


class MultiBenchTest(MosiTest):
    """mosi_raw.pkl, humor.pkl, sarcasm.pkl of MultiBench: zeros in front; humor and sarcasm have two classes."""

    def content(self, labels: tuple[float, float] | None = None, shape: tuple[int, ...] = (-1, 1, 1)) -> dict:
        made = {}
        for split in SIZES:
            features, values = clips(split, steps=50)
            if labels is not None:
                values = np.array([labels[clip % 2] for clip in range(len(values))])
            made[split] = {
                "vision": features[2], "audio": features[1], "text": features[0],
                "labels": values.reshape(shape), "id": [f"video[{clip}]" for clip in range(len(values))],
            }  # fmt: skip
        return made

    def write(self, content: dict) -> Path:
        path = self.folder / "mosi_raw.pkl"
        path.write_bytes(pickle.dumps(content, 4))
        return path

    def test_sentiment(self) -> None:
        content = self.content()
        content["train"]["audio"][5, 30, 0] = -np.inf
        tensors, out = self.prepared("pickle", self.write(content), "--steps", "50")
        np.testing.assert_allclose(tensors["train/labels"], np.linspace(-3, 3, 6), rtol=1e-6)
        np.testing.assert_allclose(tensors["test/language"], content["test"]["text"], rtol=1e-6)
        self.assertEqual(tensors["train/audio"][5, 30, 0], 0)
        self.assertIn("noted 1: audio values that were NaN or infinite", out)
        self.assertIn("steps of the 13 clips: 45 to 50, median 48", out)

    def test_two_classes(self) -> None:
        for labels, shape in (((0, 1), (-1, 1)), ((-1.0, 1.0), (-1, 1, 1))):
            path = self.write(self.content(labels, shape))
            tensors, _ = self.prepared("pickle", path, "--classes", "serious, humorous")
            self.assertEqual(tensors["train/labels"].dtype, np.int64)
            self.assertEqual(tensors["train/labels"].tolist(), [0, 1, 0, 1, 0, 1])
            with safe_open(self.out, "numpy") as file:
                entries = file.metadata()
            self.assertEqual((entries["task"], entries["classes"]), ("classification", '["serious","humorous"]'))

    def test_labels_that_are_no_two_classes(self) -> None:
        self.assert_fails("0 and 1, or -1 and 1", arguments=("pickle", self.write(self.content()), "--classes", "a,b"))
        one_hot = self.content((0, 1), (-1, 1))
        for arrays in one_hot.values():
            arrays["labels"] = np.concatenate([arrays["labels"], 1 - arrays["labels"]], axis=1)
        self.assert_fails("expected one number a clip", arguments=("pickle", self.write(one_hot), "--classes", "a,b"))
        self.assertIn("two names", self.assert_stops("pickle", self.write(one_hot), "--classes", "a"))


if __name__ == "__main__":
    unittest.main()
