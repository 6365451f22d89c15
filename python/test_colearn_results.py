"""Tests of colearn_results.py: what it reads is what colearn prints."""

import csv
import json
import re
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import colearn_results  # noqa: E402
from colearn_results import DatasetError  # noqa: E402


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


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
        from_json = colearn_results.results_rows(self.write(json.dumps(self.DOCUMENT)))
        self.assertEqual(from_json, colearn_results.results_rows(self.write(self.CSV)))
        self.assertEqual(from_json[0]["id"], "0012345678900000")
        self.assertEqual((from_json[0]["n"], from_json[0]["accuracy_mean"]), (2, 0.75))
        self.assertEqual((from_json[1]["unimodal"], from_json[1]["accuracy_verdict"]), (True, None))

    def test_names_of_configurations_are_texts(self) -> None:
        document = json.loads(json.dumps(self.DOCUMENT))
        for row, name in zip(document["configurations"], ("1", "=x"), strict=True):
            row["name"] = name
        from_json = colearn_results.results_rows(self.write(json.dumps(document)))
        lines = self.CSV.splitlines()
        named = [line.replace(",", f",{name},", 1) for line, name in zip(lines, ("name", "1", "'=x"), strict=True)]
        self.assertEqual(from_json, colearn_results.results_rows(self.write("\n".join(named) + "\n")))
        self.assertEqual([row["name"] for row in from_json], ["1", "=x"])

    def test_the_columns_are_those_that_colearn_prints(self) -> None:
        source = (HERE.parent / "report" / "src" / "text" / "csv.rs").read_text()
        printed = re.findall(r'\("(\w+)", \|row', source)
        known = [*colearn_results._NUMBERS, *colearn_results._COMPARED, *colearn_results._COMPARED_2]
        self.assertEqual(sorted(printed), sorted(known))

    def test_parameters_and_metrics_of_programs_have_any_names_and_values(self) -> None:
        values = {"n": 3, "optimizer": "sgd", "layers": [64, 64], "augment": True, "warmup": None, "tag": "1_000",
                  "r2_mean": "-x", "mode": "nan"}  # fmt: skip
        metrics = {name: {"mean": mean, "std": None, "ci_low": None, "ci_high": None}
                   for name, mean in {"r2": 0.5, "tokens/s": 3e-7, "=1+1": 12345.5}.items()}  # fmt: skip
        row = {"id": "0000000000000001", "values": values, "baseline": True, "n": 5, "expected": 5,
               "state": "complete", "metrics": metrics, "comparisons": {}}  # fmt: skip
        document = {"sweep": "s", "warnings": [], "configurations": [row]}
        from_json = colearn_results.results_rows(self.write(json.dumps(document)))
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
        self.assertEqual(colearn_results.results_rows(self.folder / "results"), from_json)
        self.assertEqual((from_json[0]["n"], from_json[0]["parameter.n"]), (5, 3))
        self.assertEqual((from_json[0]["layers"], from_json[0]["tokens/s_mean"]), ("[64,64]", 3e-7))

    def test_folds_and_seeds_are_one_row(self) -> None:
        document = json.loads(json.dumps({**self.DOCUMENT, "replicates": ["fold"]}))
        first = document["configurations"][0]
        members = [{"id": "0012345678900000", "values": {"fold": 0}}, {"id": "0000000000000001", "values": {"fold": 1}}]
        first.update(n=5, expected=6, replicates=members, failed_seeds={"fold=1 seed=2": "crash"})
        rows = colearn_results.results_rows(self.write(json.dumps(document)))
        self.assertEqual((rows[0]["id"], rows[0]["n"], rows[0]["expected"]), ("0012345678900000", 5, 6))
        self.assertEqual(list(rows[0]), list(colearn_results.results_rows(self.write(self.CSV))[0]))

    def test_columns_are_named_as_in_rust(self) -> None:
        source = (HERE.parent / "report" / "src" / "cells.rs").read_text()
        fixed = json.loads(source.split("FIXED_COLUMNS: [&str; 7] = ")[1].split(";")[0])
        self.assertEqual(tuple(fixed), colearn_results._FIXED)

    def test_warnings_are_passed_on(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            colearn_results.results_rows(self.write(json.dumps({**self.DOCUMENT, "warnings": ["different data"]})))
            colearn_results.results_rows(self.write(self.CSV.replace("PCL,", "PCL,seed 3 failed")))
        self.assertEqual(
            [str(warning.message) for warning in caught], ["different data", "0012345678900000: seed 3 failed"]
        )

    def test_a_frame(self) -> None:
        try:
            import pandas  # noqa: F401
        except ImportError:
            with self.assertRaises(ImportError) as raised:
                colearn_results.read_results(self.write(self.CSV))
            self.assertIn("results_rows", str(raised.exception))
            self.skipTest("pandas is missing: make pandas")
        frame = colearn_results.read_results(self.write(self.CSV))
        self.assertEqual(len(frame), 2)
        self.assertEqual(frame.set_index("id").loc["e000000000000000", "accuracy_mean"], 0.5)

    def test_other_files_are_refused(self) -> None:
        for text in ("", "a,b\n1,2\n", "{}", "{", "sweep mine\ndropout\n"):
            with self.subTest(text), self.assertRaises(DatasetError):
                colearn_results.results_rows(self.write(text))


class LongTest(FolderTest):
    DOCUMENT = {
        "schema": 2, "sweep": "s", "replicates": ["fold"], "directions": {"accuracy": "higher", "loss": "lower"},
        "definition": {
            "parameters": ["modality_dropout.audio", "fold"], "needs": {"trainer": "networks"},
            "report": {"metrics": ["accuracy"]},
        },
        "configurations": [
            {
                "id": "0012345678900000", "name": "audio=0.5", "values": {"modality_dropout.audio": 0.5, "seed": "=1"},
                "tasks": [
                    {
                        "configuration": "0012345678900000", "replicate": {"fold": 0}, "seed": 3, "status": "done",
                        "reason": None, "metrics": {"accuracy": 0.5, "valid/loss@audio+video": 1.25},
                        "history": [{"epoch": 1, "train_loss": 2.0, "valid_loss": 1e-7}],
                    },
                    {
                        "configuration": "0000000000000001", "replicate": {"fold": 1}, "seed": 3, "status": "failed",
                        "reason": "crash", "metrics": None, "history": None,
                    },
                ],
            }
        ],
    }  # fmt: skip
    CSV = (
        "configuration,name,modality_dropout.audio,parameter.seed,fold,member,seed,metric,split,modalities,value,status,"
        "reason\n"
        "0012345678900000,audio=0.5,0.5,'=1,0,0012345678900000,3,accuracy,test,,0.5,done,\n"
        "0012345678900000,audio=0.5,0.5,'=1,0,0012345678900000,3,loss,valid,audio+video,1.25,done,\n"
        "0012345678900000,audio=0.5,0.5,'=1,1,0000000000000001,3,,,,,failed,crash\n"
    )
    HISTORY = (
        "configuration,name,modality_dropout.audio,parameter.seed,fold,member,seed,epoch,curve,value\n"
        "0012345678900000,audio=0.5,0.5,'=1,0,0012345678900000,3,1,train_loss,2\n"
        "0012345678900000,audio=0.5,0.5,'=1,0,0012345678900000,3,1,valid_loss,0.0000001\n"
    )

    def write(self, text: str) -> Path:
        path = self.folder / "results"
        path.write_text(text)
        return path

    def test_csv_and_json_give_the_same_rows(self) -> None:
        rows = colearn_results.long_rows(self.write(self.CSV))
        self.assertEqual([list(row.items()) for row in colearn_results.long_rows(self.write(json.dumps(self.DOCUMENT)))],
                         [list(row.items()) for row in rows])  # fmt: skip
        self.assertEqual((rows[0]["configuration"], rows[0]["value"], rows[2]["value"]), ("0012345678900000", 0.5, None))
        self.assertEqual(rows[0]["parameter.seed"], "=1")
        records = {"schema": 2, "columns": list(rows[0]), "records": rows}
        self.assertEqual(colearn_results.long_rows(self.write(json.dumps(records))), rows)

    def test_curves(self) -> None:
        rows = colearn_results.long_rows(self.write(self.HISTORY))
        self.assertEqual(rows, colearn_results.long_rows(self.write(json.dumps(self.DOCUMENT)), history=True))
        self.assertEqual([(row["epoch"], row["value"]) for row in rows], [(1, 2), (1, 1e-7)])

    def test_the_columns_are_those_that_colearn_writes(self) -> None:
        source = (HERE.parent / "report" / "src" / "long" / "columns.rs").read_text()
        fixed = source.split("const FIXED: [&str; 12] = [")[1].split("];")[0]
        self.assertEqual(tuple(part.strip().strip('"') for part in fixed.split(",") if part.strip()), colearn_results._LONG_FIXED)

    def test_other_files_are_refused(self) -> None:
        old = {name: value for name, value in self.DOCUMENT.items() if name != "schema"}
        for text in ("", "a,b\n1,2\n", "{}", "{", json.dumps(old), ResultsTest.CSV):
            with self.subTest(text), self.assertRaises(DatasetError) as raised:
                colearn_results.long_rows(self.write(text))
            self.assertIn("--per-seed", str(raised.exception))

    def test_a_frame(self) -> None:
        try:
            import pandas  # noqa: F401
        except ImportError:
            with self.assertRaises(ImportError) as raised:
                colearn_results.read_long(self.write(self.CSV))
            self.assertIn("long_rows", str(raised.exception))
            self.skipTest("pandas is missing: make pandas")
        frame = colearn_results.read_long(self.write(self.CSV))
        self.assertEqual(len(frame), 3)
        self.assertEqual(frame.query("metric == 'accuracy'")["value"].tolist(), [0.5])


if __name__ == "__main__":
    unittest.main()
