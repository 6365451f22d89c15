"""Tests of prepare_utd_mhad.py; run with `python3 -m unittest discover datasets`.

They generate a small release (27 actions x 8 subjects, one short trial each). If the real archives exist in
$COLEARN_TEST_DATA/utd-mhad or ../shared/data/utd-mhad, they prepare those too.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import numpy as np
    import scipy.io
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import prepare_utd_mhad as prepare
except ImportError as error:
    raise unittest.SkipTest(f"needs numpy, scipy and safetensors: {error}") from error

REAL = Path(os.environ.get("COLEARN_TEST_DATA", HERE.parent.parent / "shared" / "data")) / "utd-mhad"


def recording(action: int, subject: int, trial: int) -> tuple[np.ndarray, np.ndarray]:
    """Inertial [frames, 6] and skeleton [20, 3, frames] of one clip; lengths differ, as in the release."""
    random = np.random.default_rng([action, subject, trial])
    inertial = random.normal(loc=subject, scale=3.0, size=(7 + action % 3, 6))
    skeleton = random.normal(loc=10.0 * subject, size=(20, 3, 4 + action % 2))
    return inertial, skeleton


def matlab(**variables: np.ndarray) -> bytes:
    """The bytes of a MATLAB v5 file."""
    file = io.BytesIO()
    scipy.io.savemat(file, variables)
    return file.getvalue()


def release() -> dict[str, dict[str, bytes]]:
    """The files of the small release, by archive."""
    archives: dict[str, dict[str, bytes]] = {"Inertial": {}, "Skeleton": {}}
    for action in range(1, 28):
        for subject in range(1, 9):
            inertial, skeleton = recording(action, subject, 1)
            clip = f"a{action}_s{subject}_t1"
            archives["Inertial"][f"{clip}_inertial.mat"] = matlab(d_iner=inertial)
            archives["Skeleton"][f"{clip}_skeleton.mat"] = matlab(d_skel=skeleton)
    return archives


RELEASE = release()


class PrepareTest(unittest.TestCase):
    """Each test has its own folder with a copy of the release to damage."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "data" / "utd-mhad.safetensors"
        self.archives = {name: dict(files) for name, files in RELEASE.items()}

    def write_zips(self) -> None:
        for name, files in self.archives.items():
            with zipfile.ZipFile(self.folder / f"{name}.zip", "w") as archive:
                archive.mkdir(name) if sys.version_info >= (3, 11) else archive.writestr(f"{name}/", b"")
                for file, content in files.items():
                    archive.writestr(f"{name}/{file}", content)

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = prepare.main([str(self.folder), "--out", str(self.out), *arguments])
        return status, out.getvalue(), err.getvalue()

    def assert_fails(self, *parts: str) -> None:
        status, _, err = self.run_main()
        self.assertEqual(status, 1)
        for part in parts:
            self.assertIn(part, err)
        self.assertEqual(len(err.splitlines()), 1, "one plain line, no traceback")
        self.assertFalse(self.out.exists())
        if self.out.parent.exists():
            self.assertEqual(list(self.out.parent.iterdir()), [], "nothing half written is left")

    def test_shapes_and_split(self) -> None:
        self.write_zips()
        status, out, _ = self.run_main()
        self.assertEqual(status, 0)
        tensors = load_file(self.out)
        for split, subjects in (("train", 3), ("valid", 1), ("test", 4)):
            self.assertEqual(tensors[f"{split}/inertial"].shape, (27 * subjects, 30, 6))
            self.assertEqual(tensors[f"{split}/skeleton"].shape, (27 * subjects, 30, 60))
            self.assertEqual(tensors[f"{split}/inertial"].dtype, np.float32)
            self.assertEqual(tensors[f"{split}/labels"].dtype, np.int64)
            np.testing.assert_array_equal(tensors[f"{split}/labels"], np.repeat(np.arange(27), subjects))
        self.assertEqual(len(tensors), 9)
        self.assertIn("nothing was dropped", out)
        self.assertIn("valid: subjects 7; inertial [27, 30, 6], skeleton [27, 30, 60]", out)

    def test_header(self) -> None:
        self.write_zips()
        self.run_main()
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(entries["format"], "colearn-dataset/1")
        self.assertEqual(json.loads(entries["modalities"]), ["inertial", "skeleton"])
        self.assertEqual(entries["task"], "classification")
        classes = json.loads(entries["classes"])
        self.assertEqual((len(classes), len(set(classes)), classes[0], classes[26]), (27, 27, "swipe left", "squat"))
        ids, groups = json.loads(entries["ids"]), json.loads(entries["groups"])
        self.assertEqual(ids["train"][:4], ["a1_s1_t1", "a1_s3_t1", "a1_s5_t1", "a2_s1_t1"])
        self.assertEqual(groups["train"][:4], ["s1", "s3", "s5", "s1"])
        self.assertEqual(set(groups["valid"]), {"s7"})
        self.assertEqual(len(set(ids["test"])), 4 * 27)

    def test_training_subjects_are_standardised_and_others_by_their_measure(self) -> None:
        self.write_zips()
        self.run_main()
        tensors = load_file(self.out)
        for modality in ("inertial", "skeleton"):
            train = tensors[f"train/{modality}"].astype(np.float64)
            np.testing.assert_allclose(train.mean(axis=(0, 1)), 0.0, atol=1e-6)
            np.testing.assert_allclose(train.std(axis=(0, 1)), 1.0, atol=1e-6)
        # Training subjects have offsets 1, 3, 5 (mean 3); subject 7 must keep its distance from this mean.
        self.assertGreater(tensors["valid/inertial"].mean(), 0.5)

    def test_values_of_one_clip_by_hand(self) -> None:
        self.write_zips()
        self.run_main("--steps", "5")
        tensors = load_file(self.out)

        def by_hand(action: int, subject: int) -> tuple[np.ndarray, np.ndarray]:
            inertial, skeleton = recording(action, subject, 1)
            frames = skeleton.shape[2]
            flat = np.empty((frames, 60))
            for frame in range(frames):
                for joint in range(20):
                    for axis in range(3):
                        flat[frame, 3 * joint + axis] = skeleton[joint, axis, frame] - skeleton[0, axis, 0]

            def at(array: np.ndarray) -> np.ndarray:
                times = [i * (len(array) - 1) / 4 for i in range(5)]
                return np.stack([np.interp(times, range(len(array)), column) for column in array.T], axis=1)

            return at(inertial), at(flat)

        train = [by_hand(action, subject) for action in range(1, 28) for subject in (1, 3, 5)]
        for modality, name in enumerate(("inertial", "skeleton")):
            stacked = np.stack([clip[modality] for clip in train])
            mean, deviation = stacked.mean(axis=(0, 1)), stacked.std(axis=(0, 1))
            # Action 3, subject 6: third of the four test subjects.
            expected = (by_hand(3, 6)[modality] - mean) / deviation
            np.testing.assert_allclose(tensors[f"test/{name}"][2 * 4 + 2], expected, rtol=1e-5, atol=1e-5)

    def test_the_inertial_sensor_as_two_modalities(self) -> None:
        self.write_zips()
        self.assertEqual(self.run_main()[0], 0)
        two = load_file(self.out)
        status, out, err = self.run_main("--modalities", "accelerometer,gyroscope,skeleton")
        self.assertEqual(status, 0, err)
        three = load_file(self.out)
        self.assertEqual(len(three), 12)
        for split in ("train", "valid", "test"):
            self.assertEqual(three[f"{split}/gyroscope"].shape[2], 3)
            halves = [three[f"{split}/accelerometer"], three[f"{split}/gyroscope"]]
            np.testing.assert_array_equal(np.concatenate(halves, axis=2), two[f"{split}/inertial"])
            np.testing.assert_array_equal(three[f"{split}/skeleton"], two[f"{split}/skeleton"])
            np.testing.assert_array_equal(three[f"{split}/labels"], two[f"{split}/labels"])
        self.assertIn("valid: subjects 7; accelerometer [27, 30, 3], gyroscope [27, 30, 3], skeleton [27, 30, 60]", out)
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(json.loads(entries["modalities"]), ["accelerometer", "gyroscope", "skeleton"])
        self.assertIn("4 to 6 as gyroscope", entries["preparation"])

    def test_each_layout_has_a_file_of_its_own_name(self) -> None:
        self.write_zips()
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for layout in prepare.LAYOUTS:
                self.assertEqual(prepare.main([str(self.folder), "--modalities", layout]), 0)
            with self.assertRaises(SystemExit) as refused:
                prepare.main([str(self.folder), "--modalities", "skeleton"])
        self.assertEqual(refused.exception.code, 2)
        names = sorted(path.name for path in (self.folder / "data").iterdir())
        self.assertEqual(names, ["utd-mhad-3.safetensors", "utd-mhad.safetensors"])

    def test_folds_test_every_subject_once(self) -> None:
        for folds in (3, 4, 8):
            divisions = prepare.divisions(folds)
            self.assertEqual(len(divisions), folds)
            for split in ("valid", "test"):
                tested = [subject for division in divisions for subject in division[split]]
                self.assertEqual(sorted(tested), list(range(1, 9)))
            for division in divisions:
                everyone = [subject for subjects in division.values() for subject in subjects]
                self.assertEqual(sorted(everyone), list(range(1, 9)), "no subject is in two splits")
        two = {division["test"] for division in prepare.divisions(4)}
        self.assertEqual(two, {(1, 2), (3, 4), (5, 6), (7, 8)})

    def test_folds_are_files_of_their_own_each_standardised_by_its_training_subjects(self) -> None:
        self.write_zips()
        status, out, err = self.run_main("--folds", "4", "--steps", "5")
        self.assertEqual(status, 0, err)
        names = [f"utd-mhad-fold{fold}.safetensors" for fold in range(4)]
        self.assertEqual(sorted(path.name for path in self.out.parent.iterdir()), names)
        subjects = {"train": 4, "valid": 2, "test": 2}
        for fold, name in enumerate(names):
            tensors = load_file(self.out.parent / name)
            for split, count in subjects.items():
                np.testing.assert_array_equal(tensors[f"{split}/labels"], np.repeat(np.arange(27), count))
            train = tensors["train/inertial"].astype(np.float64)
            np.testing.assert_allclose(train.mean(axis=(0, 1)), 0.0, atol=1e-6)
            np.testing.assert_allclose(train.std(axis=(0, 1)), 1.0, atol=1e-6)
            with safe_open(self.out.parent / name, "numpy") as file:
                self.assertIn(f"{2 * fold + 1},{2 * fold + 2} test", file.metadata()["preparation"])
            self.assertIn(f"fold {fold}, test: subjects {2 * fold + 1}, {2 * fold + 2}; inertial [54, 5, 6]", out)
            self.assertIn(f"wrote {self.out.parent / name}", out)
        # Subjects have offsets of their own numbers: 5 to 8 train in fold 0, so that 1 and 2 are far below them.
        self.assertLess(load_file(self.out.parent / names[0])["test/inertial"].mean(), -0.5)

    def test_a_fold_that_cannot_be_made_leaves_no_file(self) -> None:
        for files in self.archives.values():
            for name in [name for name in files if name.startswith("a12_") and name[5] in "5678"]:
                del files[name]
        self.write_zips()
        status, _, err = self.run_main("--folds", "4")
        self.assertEqual(status, 1)
        self.assertIn("12 (bowling)", err)
        self.assertFalse(self.out.parent.exists())

    def test_numbers_of_folds_that_cannot_be(self) -> None:
        for count in ("2", "9", "x"):
            with self.assertRaises(SystemExit) as refused, contextlib.redirect_stderr(io.StringIO()):
                prepare.main([str(self.folder), "--folds", count])
            self.assertEqual(refused.exception.code, 2)

    def test_folders_give_the_same_bytes_as_archives(self) -> None:
        self.write_zips()
        self.run_main()
        digest = hashlib.sha256(self.out.read_bytes()).hexdigest()
        for name, files in self.archives.items():
            (self.folder / f"{name}.zip").unlink()
            (self.folder / name).mkdir()
            for file, content in files.items():
                (self.folder / name / file).write_bytes(content)
        self.assertEqual(self.run_main()[0], 0)
        self.assertEqual(hashlib.sha256(self.out.read_bytes()).hexdigest(), digest)

    def test_archives_elsewhere(self) -> None:
        self.write_zips()
        (self.folder / "there").mkdir()
        for name in self.archives:
            (self.folder / f"{name}.zip").rename(self.folder / "there" / f"{name.lower()}-1.zip")
        there = self.folder / "there"
        status, _, err = self.run_main(
            "--inertial", str(there / "inertial-1.zip"), "--skeleton", str(there / "skeleton-1.zip")
        )
        self.assertEqual(status, 0, err)

    def test_what_is_dropped_is_said(self) -> None:
        inertial, skeleton = self.archives["Inertial"], self.archives["Skeleton"]
        inertial["a1_s2_t2_inertial.mat"] = matlab(d_iner=np.ones((5, 6)))
        inertial["a9_s9_t1_inertial.mat"] = matlab(d_iner=np.ones((5, 6)))
        skeleton["a2_s2_t1_skeleton.mat"] = matlab(d_skel=np.full((20, 3, 5), np.nan))
        skeleton["a3_s2_t1_skeleton.mat"] = matlab(d_skel=np.ones((19, 3, 5)))
        inertial["a4_s2_t1_inertial.mat"] = matlab(d_iner=np.ones((1, 6)))
        skeleton["joint_order.txt"] = b"hip, spine"
        self.write_zips()
        status, out, _ = self.run_main()
        self.assertEqual(status, 0)
        self.assertEqual(load_file(self.out)["test/labels"].shape, (27 * 4 - 3,))
        for line in (
            "dropped 3: has no usable skeleton recording: a1_s2_t2 inertial, a2_s2_t1 inertial, a3_s2_t1 inertial",
            "dropped 1: has no usable inertial recording: a4_s2_t1 skeleton",
            "dropped 1: action or subject outside the release's 27 and 8: a9_s9_t1_inertial.mat",
            "dropped 1: holds NaN or infinite values: a2_s2_t1_skeleton.mat",
            "dropped 1: d_skel has shape (19, 3, 5), expected (20, 3, frames): a3_s2_t1_skeleton.mat",
            "dropped 1: 1 frame(s): too short to resample: a4_s2_t1_inertial.mat",
            "dropped 1: not a clip of this modality by its name: joint_order.txt",
        ):
            self.assertIn(line, out)

    def test_a_constant_feature_becomes_zero(self) -> None:
        for subject in (1, 3, 5):
            for action in range(1, 28):
                inertial, _ = recording(action, subject, 1)
                inertial[:, 2] = 9.81
                self.archives["Inertial"][f"a{action}_s{subject}_t1_inertial.mat"] = matlab(d_iner=inertial)
        self.write_zips()
        self.assertEqual(self.run_main()[0], 0)
        tensors = load_file(self.out)
        for split in ("train", "valid", "test"):
            self.assertTrue((tensors[f"{split}/inertial"][:, :, 2] == 0.0).all())
            self.assertTrue(np.isfinite(tensors[f"{split}/inertial"]).all())

    def test_a_missing_archive(self) -> None:
        self.assert_fails("Inertial.zip", "datasets/README.md")

    def test_a_truncated_archive(self) -> None:
        self.write_zips()
        path = self.folder / "Skeleton.zip"
        path.write_bytes(path.read_bytes()[:-100])
        self.assert_fails("Skeleton.zip", "download it again")

    def test_a_damaged_entry(self) -> None:
        self.write_zips()
        path = self.folder / "Inertial.zip"
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
        self.assert_fails("Inertial.zip", "download it again")

    def test_a_file_that_is_not_matlab(self) -> None:
        self.archives["Inertial"]["a5_s5_t1_inertial.mat"] = b"not MATLAB at all"
        self.write_zips()
        self.assert_fails("a5_s5_t1_inertial.mat", "not a readable MATLAB v5 file")

    def test_another_variable(self) -> None:
        self.archives["Skeleton"]["a5_s5_t1_skeleton.mat"] = matlab(d_other=np.ones((20, 3, 5)))
        self.write_zips()
        self.assert_fails("a5_s5_t1_skeleton.mat", "no variable d_skel")

    def test_archives_swapped(self) -> None:
        self.archives = {"Inertial": self.archives["Skeleton"], "Skeleton": self.archives["Inertial"]}
        self.write_zips()
        self.assert_fails("Inertial.zip", "expected Inertial.zip of UTD-MHAD")

    def test_a_subject_is_missing(self) -> None:
        self.archives["Inertial"] = {n: c for n, c in self.archives["Inertial"].items() if "_s7_" not in n}
        self.write_zips()
        self.assert_fails("subject 7 for the valid split", "complete")

    def test_an_action_is_missing(self) -> None:
        self.archives["Inertial"] = {n: c for n, c in self.archives["Inertial"].items() if not n.startswith("a12_")}
        self.write_zips()
        self.assert_fails("12 (bowling)")

    def test_a_clip_twice(self) -> None:
        for name, files in self.archives.items():
            for part in ("x", "y"):
                (self.folder / name / part).mkdir(parents=True)
                for file, content in files.items():
                    (self.folder / name / part / file).write_bytes(content)
        self.assert_fails("twice")

    @unittest.skipUnless((REAL / "Inertial.zip").exists(), f"the release is not in {REAL}")
    def test_the_real_release(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(prepare.main([str(REAL), "--out", str(self.out)]), 0)
        tensors = load_file(self.out)
        self.assertEqual([len(tensors[f"{split}/labels"]) for split in ("train", "valid", "test")], [323, 108, 430])
        with safe_open(self.out, "numpy") as file:
            ids, groups = (json.loads(file.metadata()[key]) for key in ("ids", "groups"))
        for split, subjects in (("train", "135"), ("valid", "7"), ("test", "2468")):
            self.assertEqual(set(groups[split]), {f"s{subject}" for subject in subjects})
            for name, group, label in zip(ids[split], groups[split], tensors[f"{split}/labels"], strict=True):
                action, subject, _ = name.split("_")
                self.assertEqual((action, subject), (f"a{label + 1}", group))
        self.assertIn("dropped 1: not a clip of this modality by its name: Skeleton_joint_order.txt", out.getvalue())
        for tensor in tensors.values():
            self.assertTrue(np.isfinite(tensor).all())


if __name__ == "__main__":
    unittest.main()
