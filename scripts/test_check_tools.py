"""What `check-tools.sh` says of a machine on which the build would fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).parent / "check-tools.sh"
# What the script itself calls.
OWN = ["bash", "uname", "sed", "du", "cut", "df", "awk", "dirname"]


def check(**environment: str) -> tuple[int, str]:
    environment = {"PATH": os.environ["PATH"], **environment}
    ended = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


class CheckTools(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_machine_that_builds_this_has_everything(self) -> None:
        if shutil.which("cargo") is None:
            self.skipTest("cargo is missing")
        self.assertEqual(check(SPACE_MB="1", TARGET=str(self.folder / "none" / "yet")), (0, ""))

    def test_every_missing_tool_is_named_with_its_remedy(self) -> None:
        for tool in OWN:
            found = shutil.which(tool)
            assert found is not None, tool
            (self.folder / tool).symlink_to(found)
        code, said = check(PATH=str(self.folder))
        self.assertEqual(code, 1)
        for words in ["cargo (Rust)", "https://sh.rustup.rs", "a C++ compiler", "python3"]:
            self.assertIn(words, said)

    def test_a_disk_without_room_is_said_before_the_linker_says_it(self) -> None:
        code, said = check(SPACE_MB=str(10**9), TARGET=str(self.folder / "none" / "yet"))
        self.assertEqual(code, 1)
        self.assertIn(f"too little room: a build takes {10**9} MB, and the disk of {self.folder} has ", said)
        self.assertIn("CARGO_TARGET_DIR", said)

    def test_what_is_built_needs_no_room_again(self) -> None:
        df = self.folder / "df"
        df.write_text("#!/bin/sh\necho Filesystem Blocks Used Available Capacity Mounted\necho /dev/x 0 0 100 0% /\n")
        df.chmod(0o755)
        built = self.folder / "target"
        built.mkdir()
        (built / "program").write_bytes(b"x" * (50 << 20))
        path = f"{self.folder}:{os.environ['PATH']}"
        said = {needed: check(PATH=path, SPACE_MB=needed, TARGET=str(built))[1] for needed in ["140", "160"]}
        self.assertNotIn("room", said["140"])
        self.assertIn(f"the disk of {built} has 100 MB free", said["160"])


if __name__ == "__main__":
    unittest.main()
