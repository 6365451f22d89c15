"""Tests of prepare_iemocap.py, frame_features.py and word_vectors.py on a small generated release."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

try:
    import librosa  # noqa: F401
    import numpy as np
    import scipy.io.wavfile
    from safetensors import safe_open
    from safetensors.numpy import load_file

    import prepare_iemocap as prepare
    import word_vectors
except ImportError as error:
    raise unittest.SkipTest(f"needs librosa, numpy, scipy and safetensors: {error}") from error

LABELS = ("neu", "fru", "ang", "sad", "exc", "hap", "sur", "fea", "dis")
WORDS = ("well", "you", "know", "it's", "fine")
DIALOG_START = 6.29


def vector(word: str) -> np.ndarray:
    """A generated word vector, equal to the one in the text file of the small release."""
    return np.round(np.random.default_rng(sum(map(ord, word))).normal(size=300), 4)


def wdseg(words: list[tuple[int, int, str]]) -> str:
    rows = "".join(f"{first:9d} {last:7d} {-4242:10d} {word}\n" for first, last, word in words)
    return f"     SFrm    EFrm    SegAScr Word\n{rows} Total score:    -1234567\n"


class IemocapTest(unittest.TestCase):
    """Each test has its own small release to damage: 5 sessions, with one dialog of 4 utterances each."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "data" / "iemocap.safetensors"
        self.release = self.folder / "IEMOCAP_full_release"
        self.labels: dict[str, str] = {}
        for session in range(1, 6):
            dialog = f"Ses0{session}F_impro01"
            for turn in range(4):
                name = f"{dialog}_F{turn:03d}"
                self.labels[name] = LABELS[(4 * session + turn) % 9]
                # Frames 0-9 are silence, then come WORDS[: 2 + turn] of 20 frames each; the last one is a second
                # pronunciation.
                spoken = WORDS[: 2 + turn]
                rows = [(0, 4, "<s>"), (5, 9, "<sil>")]
                for index, word in enumerate(spoken):
                    rows.append((10 + 20 * index, 29 + 20 * index, word.upper()))
                rows[-1] = (*rows[-1][:2], rows[-1][2] + "(2)")
                rows += [(115, 117, "++BREATHING++"), (118, 119, "</s>")]
                self.write_alignment(name, rows)
                self.write_wav(name, 1.25)
            self.write_dialog(session, dialog)
        self.glove = self.folder / "glove.840B.300d.txt"
        words = [",", "well", "You", "know", "it's"]  # "fine" has none; "you" only with a capital.
        lines = [f"{word} {' '.join(map(str, vector(word)))}" for word in words]
        lines.insert(2, f"well name@domain.com {' '.join(map(str, vector('mail')))}")
        self.glove.write_text("\n".join(lines) + "\n")

    def path(self, kind: str, name: str, ending: str) -> Path:
        return self.release / f"Session{name[4]}" / "sentences" / kind / name.rpartition("_")[0] / f"{name}{ending}"

    def write_alignment(self, name: str, rows: list[tuple[int, int, str]]) -> None:
        path = self.path("ForcedAlignment", name, ".wdseg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wdseg(rows))

    def write_wav(self, name: str, seconds: float, rate: int = 16000) -> None:
        path = self.path("wav", name, ".wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(sum(map(ord, name)))
        # The volume rises, so that words differ.
        noise = random.normal(size=int(seconds * rate)) * np.linspace(100, 5000, int(seconds * rate))
        scipy.io.wavfile.write(path, rate, noise.astype(np.int16))

    def write_dialog(self, session: int, dialog: str, more: str = "") -> None:
        names = [name for name in self.labels if name.startswith(dialog + "_")]
        evaluation = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        transcripts = ""
        for turn, name in enumerate(names):
            start = DIALOG_START + 2 * turn
            evaluation += f"[{start:.4f} - {start + 1.25:.4f}]\t{name}\t{self.labels[name]}\t[2.5000, 2.5000, 2.5000]\n"
            evaluation += "C-E2:\tNeutral;\t()\nC-F1:\tAnger;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
            text = " ".join(WORDS[: 2 + turn]).capitalize() + "."
            transcripts += f"{name} [{start:08.4f}-{start + 1.25:08.4f}]: {text}\n"
        folder = self.release / f"Session{session}" / "dialog"
        for kind, content in (("EmoEvaluation", evaluation + more), ("transcriptions", transcripts)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{dialog}.txt").write_text(content)
            (folder / kind / f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07\xff\xfe not text")

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = prepare.main([str(self.release), "--glove", str(self.glove), "--out", str(self.out), *arguments])
        return status, out.getvalue(), err.getvalue()

    def assert_fails(self, *parts: str, arguments: tuple[str, ...] = ()) -> None:
        status, _, err = self.run_main(*arguments)
        self.assertEqual(status, 1)
        for part in parts:
            self.assertIn(part, err)
        self.assertEqual(len(err.splitlines()), 1, "one plain line, no traceback")
        self.assertFalse(self.out.exists())

    def prepared(self, *arguments: str) -> tuple[dict[str, np.ndarray], str]:
        status, out, err = self.run_main(*arguments)
        self.assertEqual(status, 0, err)
        return load_file(self.out), out

    def test_shapes_labels_and_header(self) -> None:
        tensors, out = self.prepared("--split", "session")
        for split, sessions in (("train", (1, 2, 3)), ("valid", (4,)), ("test", (5,))):
            self.assertEqual(tensors[f"{split}/language"].shape, (4 * len(sessions), 30, 300))
            self.assertEqual(tensors[f"{split}/audio"].shape, (4 * len(sessions), 30, 80))
            expected = [LABELS.index(label) for name, label in self.labels.items() if int(name[4]) in sessions]
            self.assertEqual(tensors[f"{split}/labels"].tolist(), expected)
            names = [name for name in self.labels if int(name[4]) in sessions]
            with safe_open(self.out, "numpy") as file:
                ids, groups = (json.loads(file.metadata()[key])[split] for key in ("ids", "groups"))
            self.assertEqual(ids, names)
            # The speaker is one of the two of the session.
            self.assertEqual(groups, [name[:5] + name.split("_")[2][0] for name in names])
        with safe_open(self.out, "numpy") as file:
            entries = file.metadata()
        self.assertEqual(json.loads(entries["modalities"]), ["language", "audio"])
        self.assertEqual(json.loads(entries["classes"]), list(LABELS))
        self.assertIn("USC", entries["licence"])
        self.assertIn("glove.840B.300d.txt", entries["preparation"])
        self.assertIn("nothing was dropped", out)
        self.assertNotIn("differ from the transcript", out)
        self.assertIn("1 words (5 occurrences) have no vector and are zeros: FINE", out)

    def test_language_by_hand(self) -> None:
        tensors, _ = self.prepared("--split", "session")
        sentence = tensors["valid/language"][3]  # "well you know it's fine": 25 steps of padding, then the words.
        self.assertTrue((sentence[:25] == 0).all())
        for step, word in enumerate(("well", "You", "know", "it's")):
            np.testing.assert_allclose(sentence[25 + step], vector(word), rtol=1e-6)
        self.assertTrue((sentence[29] == 0).all())

    def test_audio_by_hand(self) -> None:
        tensors, _ = self.prepared("--split", "session", "--scale", "raw")
        name = "Ses05F_impro01_F001"  # Three words: frames 10-29, 30-49, 50-69, the last included.
        frames = prepare.audio_frames(prepare.read_audio(self.path("wav", name, ".wav")))
        self.assertEqual(frames.shape, (126, 80))
        sentence = tensors["test/audio"][1]
        self.assertTrue((sentence[:27] == 0).all())
        for word in range(3):
            expected = frames[10 + 20 * word : 30 + 20 * word].mean(axis=0)
            np.testing.assert_allclose(sentence[27 + word], expected, rtol=1e-4, atol=1e-4)

    def test_audio_frames_stand_where_the_alignment_says(self) -> None:
        samples = np.zeros(16000, dtype=np.float32)
        samples[8000:8160] = np.random.default_rng(0).normal(size=160)  # 10 ms from 0.5 s: frame 50.
        bands = prepare.audio_frames(samples)[:, 40:]
        self.assertIn(int(bands.mean(axis=1).argmax()), (50, 51))
        # Silence is -100 dB in every band, which is one coefficient and 39 zeros.
        silence = prepare.audio_frames(np.zeros(1600, dtype=np.float32))
        np.testing.assert_allclose(silence[:, 40:], -100.0)
        np.testing.assert_allclose(silence[:, 1:40], 0.0, atol=1e-3)
        # A tone of 1 kHz is in the lower half of 40 mel bands up to 8 kHz: one band is loud, not all.
        tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
        spectrum = prepare.audio_frames(tone)[50, 40:]
        self.assertLess(spectrum.argmax(), 20)
        self.assertGreater(spectrum.max() - spectrum[30], 40.0)

    def test_standardised_over_words_and_padding_stays_zero(self) -> None:
        tensors, _ = self.prepared("--split", "session")
        train = tensors["train/audio"].astype(np.float64)
        real = np.abs(tensors["train/audio"]).sum(axis=2) > 0
        self.assertEqual(real.sum(axis=1).tolist(), [2, 3, 4, 5] * 3)
        np.testing.assert_allclose(train[real].mean(axis=0), 0.0, atol=1e-4)
        np.testing.assert_allclose(train[real].std(axis=0), 1.0, atol=1e-4)

    def test_the_random_split_is_seeded(self) -> None:
        first, _ = self.prepared("--seed", "3")
        content = self.out.read_bytes()
        self.prepared("--seed", "3")
        self.assertEqual(self.out.read_bytes(), content)
        self.assertEqual([len(first[f"{split}/labels"]) for split in ("train", "valid", "test")], [15, 3, 2])
        self.prepared("--seed", "4")
        self.assertNotEqual(self.out.read_bytes(), content)

    def load_folds(self, count: int) -> list[tuple[dict[str, np.ndarray], str]]:
        """The tensors and the preparation of each fold."""
        made = []
        for fold in range(count):
            path = self.out.with_name(f"iemocap-fold{fold}.safetensors")
            with safe_open(path, "numpy") as file:
                made.append((load_file(path), file.metadata()["preparation"]))
        self.assertEqual(len(list(self.out.parent.iterdir())), count)
        return made

    def fold_labels(self, tensors: dict[str, np.ndarray], split: str) -> list[str]:
        return [LABELS[index] for index in tensors[f"{split}/labels"]]

    def test_each_session_is_left_out_once(self) -> None:
        status, out, err = self.run_main("--folds", "session")
        self.assertEqual(status, 0, err)
        for fold, (tensors, preparation) in enumerate(self.load_folds(5)):
            test, valid = fold + 1, (fold + 1) % 5 + 1
            for split, sessions in (("test", {test}), ("valid", {valid}), ("train", set(range(1, 6)) - {test, valid})):
                expected = [label for name, label in self.labels.items() if int(name[4]) in sessions]
                self.assertEqual(self.fold_labels(tensors, split), expected)
            self.assertIn(f"session {test} test, {valid} valid", preparation)
            self.assertIn(f"fold {fold}: session {test} test, {valid} valid, the others train", out)
            present = np.abs(tensors["train/audio"]).sum(axis=2) > 0
            np.testing.assert_allclose(tensors["train/audio"][present].mean(axis=0), 0.0, atol=1e-4)

    def test_each_speaker_is_left_out_once(self) -> None:
        self.assert_fails("no usable utterance", "speaker F of session 1", arguments=("--folds", "speaker"))
        for session in range(1, 6):
            dialog = f"Ses0{session}F_impro01"
            for turn in range(4):
                name = f"{dialog}_M{turn:03d}"
                self.labels[name] = LABELS[(4 * session + turn + 3) % 9]
                self.write_alignment(name, [(10, 29, "WELL")])
                self.write_wav(name, 1.25)
            self.write_dialog(session, dialog)
        status, _, err = self.run_main("--folds", "speaker")
        self.assertEqual(status, 0, err)
        for fold, (tensors, preparation) in enumerate(self.load_folds(10)):
            session, speaker = fold // 2 + 1, "FM"[fold % 2]
            of_session = [name for name in self.labels if int(name[4]) == session]
            tested = [name for name in of_session if name.split("_")[2][0] == speaker]
            validated = [name for name in of_session if name not in tested]
            trained = len(self.labels) - len(of_session)
            self.assertEqual(self.fold_labels(tensors, "test"), [self.labels[name] for name in tested])
            self.assertEqual(self.fold_labels(tensors, "valid"), [self.labels[name] for name in validated])
            self.assertEqual(len(tensors["train/labels"]), trained)
            self.assertIn(f"speaker {speaker} of session {session} test", preparation)

    def test_folds_and_a_single_split_exclude_each_other(self) -> None:
        for arguments in (("--folds", "session", "--split", "session"), ("--folds", "5")):
            with self.assertRaises(SystemExit) as refused, contextlib.redirect_stderr(io.StringIO()):
                prepare.main([str(self.release), "--glove", str(self.glove), *arguments])
            self.assertEqual(refused.exception.code, 2)

    def test_what_is_dropped_is_said(self) -> None:
        names = [f"Ses01F_impro01_F{turn:03d}" for turn in range(10, 17)]
        labels = ("xxx", "oth", "neu", "neu", "neu", "neu", "neu")
        more = "".join(
            f"[1.0 - 2.0]\t{name}\t{label}\t[2.5, 2.5, 2.5]\n" for name, label in zip(names, labels, strict=True)
        )
        more += "[1.0 - 2.0]\tSes03M_impro03_M001\tneu\t[2.5, 2.5, 2.5]\n"
        self.write_dialog(1, "Ses01F_impro01", more)
        self.write_alignment(names[3], [(3 * i, 3 * i + 2, "WELL") for i in range(30)])
        self.write_wav(names[3], 1.0)
        self.write_alignment(names[4], [(0, 9, "<s>"), (10, 20, "++LAUGHTER++")])
        self.write_alignment(names[5], [(0, 9, "WELL"), (200, 210, "WELL")])
        self.write_wav(names[5], 1.0)
        self.write_alignment(names[6], [(0, 9, "WELL")])
        tensors, out = self.prepared("--split", "session")
        self.assertEqual(len(tensors["train/labels"]), 12)
        for line in (
            f"dropped 1: labelled xxx: {names[0]}",
            f"dropped 1: labelled oth: {names[1]}",
            f"dropped 1: has no word alignment (.wdseg): {names[2]}",
            f"dropped 1: has 30 words or more: {names[3]}",
            f"dropped 1: its alignment holds no word: {names[4]}",
            f"dropped 1: its alignment goes on after the recording ends: {names[5]}",
            f"dropped 1: has no recording (.wav): {names[6]}",
            "dropped 1: left out by the paper's authors (no usable alignment): Ses03M_impro03_M001",
        ):
            self.assertIn(line, out)

    def test_29_words_are_kept_whole(self) -> None:
        self.write_alignment("Ses05F_impro01_F000", [(4 * i, 4 * i + 3, "KNOW") for i in range(29)])
        tensors, out = self.prepared("--split", "session")
        self.assertEqual((np.abs(tensors["test/language"][0]).sum(axis=1) > 0).tolist(), [False] + [True] * 29)
        self.assertIn("noted 1: utterances whose aligned words differ from the transcript", out)

    def write_visual(self, name: str, start: float, seconds: float, columns: str = "a, b", success: str = "1") -> None:
        """30 frames a second; column a is the time in the file, b is 7; `text` cannot be averaged."""
        rows = []
        for frame in range(int(seconds * 30)):
            at = start + frame / 30
            rows.append(f"{frame}, 0, {at:.4f}, 0.98, {success}, {at:.4f}, 7, smile")
        folder = self.folder / "visual"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.csv").write_text(
            f"frame, face_id, timestamp, confidence, success, {columns}, text\n" + "\n".join(rows) + "\n"
        )

    def test_visual_features_of_dialogs_and_utterances(self) -> None:
        for session in range(1, 6):
            self.write_visual(f"Ses0{session}F_impro01", 0.0, 20.0)
        self.write_visual("Ses05F_impro01_F001", 0.0, 1.25)
        tensors, out = self.prepared("--split", "session", "--scale", "raw", "--visual", str(self.folder / "visual"))
        self.assertIn("video: 2 features, a to b; not numeric and ignored: text", out)
        self.assertEqual(tensors["test/video"].shape, (4, 30, 2))
        # The third turn, from the file of its dialog: words at 0.1-0.3 s ... of an utterance that starts at 10.29 s.
        words = tensors["test/video"][2, 26:]
        np.testing.assert_allclose(words[:, 0], DIALOG_START + 4 + np.array([0.2, 0.4, 0.6, 0.8]), atol=0.02)
        np.testing.assert_allclose(words[:, 1], 7.0)
        # The second turn, from its own file.
        np.testing.assert_allclose(tensors["test/video"][1, 27:, 0], [0.2, 0.4, 0.6], atol=0.02)
        self.assertTrue((tensors["test/video"][1, :27] == 0).all())

    def test_a_word_shorter_than_a_frame_and_one_without_a_face(self) -> None:
        for session in range(1, 6):
            self.write_visual(f"Ses0{session}F_impro01", 0.0, 20.0)
        self.write_visual("Ses05F_impro01_F000", 0.0, 0.45)
        self.write_alignment("Ses05F_impro01_F000", [(10, 20, "KNOW"), (21, 21, "WELL"), (90, 110, "YOU")])
        tensors, out = self.prepared("--split", "session", "--scale", "raw", "--visual", str(self.folder / "visual"))
        # Frames at 0.1, 0.133, 0.167 and 0.2 s: the word's last 10 ms belong to it.
        np.testing.assert_allclose(tensors["test/video"][0, 27, 0], 0.15, atol=0.001)
        np.testing.assert_allclose(tensors["test/video"][0, 28, 0], 0.2, atol=0.001)
        self.assertTrue((tensors["test/video"][0, 29] == 0).all())
        self.assertIn("noted 1: words without a visual frame", out)

    def test_frames_without_a_face_and_utterances_without_a_file(self) -> None:
        for session in range(2, 6):
            self.write_visual(f"Ses0{session}F_impro01", 0.0, 20.0)
        self.write_visual("Ses05F_impro01_F003", 0.0, 1.0, success="0")
        tensors, out = self.prepared("--split", "session", "--scale", "raw", "--visual", str(self.folder / "visual"))
        self.assertEqual(len(tensors["train/labels"]), 8)
        self.assertIn("dropped 4: has no CSV file of visual features", out)
        self.assertTrue((tensors["test/video"][3] == 0).all())
        self.assertIn("noted 30: frames without a face or a time", out)

    def test_frames_that_are_not_numbers_are_left_out_of_the_mean(self) -> None:
        for session in range(1, 6):
            self.write_visual(f"Ses0{session}F_impro01", 0.0, 20.0)
        self.write_visual("Ses05F_impro01_F001", 0.0, 1.25)
        path = self.folder / "visual" / "Ses05F_impro01_F001.csv"
        header, *lines = path.read_text().splitlines()
        place = [name.strip() for name in header.split(",")].index("b")
        for number in range(0, len(lines), 3):
            fields = lines[number].split(",")
            fields[place] = "nan"
            lines[number] = ",".join(fields)
        path.write_text("\n".join([header, *lines]) + "\n")
        tensors, out = self.prepared("--split", "session", "--scale", "raw", "--visual", str(self.folder / "visual"))
        np.testing.assert_allclose(tensors["test/video"][1, 27:, 1], 7.0)
        self.assertIn("video values that are NaN or infinite and left out of the means", out)

    def test_visual_files_that_do_not_fit(self) -> None:
        visual = ("--split", "session", "--visual", str(self.folder / "visual"))
        self.assert_fails("holds no *.csv", arguments=visual)
        for session in range(1, 6):
            self.write_visual(f"Ses0{session}F_impro01", 0.0, 20.0, columns="a, c" if session == 3 else "a, b")
        self.assert_fails("Ses03F_impro01.csv", "other columns", "b, c", arguments=visual)
        path = self.folder / "visual" / "Ses01F_impro01.csv"
        path.write_text(path.read_text().replace("timestamp", "time"))
        self.assert_fails("Ses01F_impro01.csv", "`timestamp`", arguments=visual)

    def test_a_folder_that_is_not_the_release(self) -> None:
        (self.release / "Session3").rename(self.release / "Session6")
        self.assert_fails("Session3", "IEMOCAP_full_release")

    def test_a_damaged_alignment(self) -> None:
        path = self.path("ForcedAlignment", "Ses02F_impro01_F001", ".wdseg")
        path.write_text(path.read_text().replace("30      49", "30  forty"))
        self.assert_fails("Ses02F_impro01_F001.wdseg line 5", "first last score word")

    def test_a_recording_that_is_none(self) -> None:
        self.path("wav", "Ses02F_impro01_F001", ".wav").write_bytes(b"RIFFnothing")
        self.assert_fails("Ses02F_impro01_F001.wav", "not a readable wav")

    def test_a_recording_at_another_rate(self) -> None:
        self.write_wav("Ses02F_impro01_F001", 1.25, rate=8000)
        self.assert_fails("Ses02F_impro01_F001.wav", "16000")

    def test_an_unknown_label(self) -> None:
        self.labels["Ses02F_impro01_F001"] = "joy"
        self.write_dialog(2, "Ses02F_impro01")
        self.assert_fails("Ses02F_impro01.txt", "'joy'")

    def test_an_empty_split(self) -> None:
        for turn in range(4):
            self.path("ForcedAlignment", f"Ses04F_impro01_F{turn:03d}", ".wdseg").unlink()
        self.assert_fails("valid split", arguments=("--split", "session"))

    def test_vectors_of_another_width(self) -> None:
        self.glove.write_text("\n".join(" ".join(line.split()[:101]) for line in self.glove.read_text().splitlines()))
        self.assert_fails("glove.840B.300d.txt line 1", "100 numbers", "300")

    def test_no_vectors_file(self) -> None:
        self.glove.unlink()
        self.assert_fails("glove.840B.300d.txt")

    def test_usage_errors_have_status_2(self) -> None:
        with self.assertRaises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()) as err:
            prepare.main([str(self.release)])
        self.assertEqual(stopped.exception.code, 2)
        self.assertIn("--glove", err.getvalue())

    def test_vectors_from_the_published_archive_and_word2vec_text(self) -> None:
        text = self.glove.read_text()
        archive = self.folder / "glove.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("glove.840B.300d.txt", text)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            plain = word_vectors.read(self.glove, ["KNOW"])
            zipped = word_vectors.read(archive, ["KNOW"])
            self.glove.write_text("5 300\n" + text)
            counted = word_vectors.read(self.glove, ["KNOW"])
        np.testing.assert_allclose(plain["know"], vector("know"), rtol=1e-6)
        np.testing.assert_array_equal(zipped["know"], plain["know"])
        np.testing.assert_array_equal(counted["know"], plain["know"])
        self.assertIn("lines: 6, done", out.getvalue())


if __name__ == "__main__":
    unittest.main()
