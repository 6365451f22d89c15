"""Links, commands and examples on the pages: README.md, docs, deploy.

    python -m unittest discover -s scripts -p 'test_*.py'

pages.py says how pages mark commands that are not run. The programs are those of COLEARN_PROGRAMS, or of target/debug.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import command_lines
import commands_page
import grpc_page
import pages

VENV = pages.CHECKOUT / ".venv" / "bin"
NO_PROGRAMS = "there are no programs: cargo build -p colearn -p colearn-worker -p colearn-trainer"
# How long the commands of one page may take.
SECONDS = 120


class Links(unittest.TestCase):
    def test_no_link_is_broken(self):
        wrong = [link for path in pages.tracked("*.md") for link in pages.broken_links(path)]
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_broken_links_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            (root / "b.md").write_text("# The `first` thing\n## It is (not) said\n## It is (not) said\n")
            page = root / "a.md"
            page.write_text(
                "[x](b.md#the-first-thing) [y](b.md#it-is-not-said-1) [z](c.md) [w](b.md#none) `[v](d.md)`\n"
                "```sh\n[u](e.md)\n```\n[t](https://example.org/x)\n[s][r] [q](#none)\n"
            )
            wrong = pages.broken_links(page, root)
        self.assertEqual([link.split(": ")[1] for link in wrong], ["c.md", "b.md#none", "#none"])

    def test_the_summary_has_every_page_of_the_book(self):
        summary = pages.CHECKOUT / "docs/SUMMARY.md"
        named = {(summary.parent / target).resolve() for _, target in pages.links(summary.read_text())}
        missing = [path for path in pages.tracked("docs/*.md", "deploy/*.md") if path not in named | {summary}]
        self.assertEqual(missing, [])


class Generated(unittest.TestCase):
    def test_the_page_of_the_grpc_api_is_current(self):
        found = grpc_page.PAGE.read_text(encoding="utf-8")
        self.assertTrue(found == grpc_page.page(), "write it anew: python3 scripts/grpc_page.py")


class Markers(unittest.TestCase):
    def test_comments_say_what_becomes_of_a_block(self):
        text = (
            "Text.\n<!-- before: touch x\ntouch y -->\n<!-- exit code 3 -->\n```console\n$ false\nno\n```\n"
            "<!-- not run: needs a GPU -->\nText between.\n\n```sh\ntrue\n```\n\n"
            "<!-- file: a.yaml -->\n```yaml\nname: x\n```\n"
        )
        first, second, third = pages.parse("x.md", text)
        self.assertEqual((first.before, first.code), (["touch x\ntouch y"], 3))
        self.assertEqual(first.units(), [("false\n", "no\n")])
        self.assertIsNone(second.reason, "the comment belongs to the text after it")
        self.assertEqual((third.file, third.text, third.is_commands()), ("a.yaml", "name: x\n", False))

    def test_no_comment_is_lost_between_text(self):
        for path in pages.book_pages():
            written = len(pages.MARKER.findall(path.read_text(encoding="utf-8")))
            self.assertEqual(sum(block.markers for block in pages.blocks(path)), written, path)

    def test_what_is_not_run_has_a_reason(self):
        for path in pages.book_pages():
            for block in pages.blocks(path):
                if block.reason is not None:
                    self.assertGreater(len(block.reason.split()), 2, block.place)


@unittest.skipUnless(command_lines.folder(), NO_PROGRAMS)
class CommandLines(unittest.TestCase):
    def test_every_command_line_has_commands_and_options_that_exist(self):
        wrong, count = [], 0
        # The changelog names what was.
        for path in pages.tracked("*.md"):
            page = path.relative_to(pages.CHECKOUT).as_posix()
            if page == "CHANGELOG.md":
                continue
            for place, words in command_lines.on_page(path.read_text(encoding="utf-8"), page):
                count += 1
                fault = command_lines.fault(words)
                if fault:
                    wrong.append(f"{place}: {fault}: {' '.join(words)}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertGreater(count, 150)

    def test_what_does_not_exist_is_found(self):
        for line, fault in [
            ("colearn plan x.yaml --json", None),
            ("X=1 colearn data import --labels x", None),
            ("colearn worker --slots 3", None),
            ("colearn init -- python3 a.py --lr 1", None),
            ("colearn show x.yaml", "`colearn` has no command `show`"),
            ("colearn data imprt", "`colearn data` has no command `imprt`"),
            ("colearn plan x.yaml --jsno", "`colearn plan` has no option `--jsno`"),
            ("colearn worker --slot 3", "`colearn-worker` has no option `--slot`"),
        ]:
            found = [command_lines.fault(words) for words in command_lines.split(line)]
            self.assertEqual(found, [fault], line)

    def test_the_page_of_commands_is_current(self):
        found = commands_page.PAGE.read_text(encoding="utf-8")
        self.assertTrue(found == commands_page.page(), "write it anew: python3 scripts/commands_page.py")


def compared(text: str, numbers_vary: bool) -> list[str]:
    """The lines of an output as they are compared."""
    lines = [line.rstrip() for line in text.rstrip("\n").split("\n")] if text.strip() else []
    if not numbers_vary:
        return lines
    words = r"\b(PCL|NCL|inconclusive|equivalent|no variance)\b"
    lines = [re.sub(r"[ ─]+", " ", re.sub(words, "V", re.sub(r"[+-]?\d+(\.\d+)?", "0", line))) for line in lines]
    return lines


def agrees(found: list[str], shown: list[str]) -> bool:
    """Whether the output is what the page shows, where a line `...` stands for any lines."""
    if not shown:
        return not found
    if shown[0].strip() == "...":
        return any(agrees(found[at:], shown[1:]) for at in range(len(found) + 1))
    return bool(found) and found[0] == shown[0] and agrees(found[1:], shown[1:])


class Session:
    """The commands of a page in one shell, in an empty folder with links to the shipped folders."""

    def __init__(self, path: Path):
        self.path = path
        # A free port instead of the one on the pages.
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            self.port = any_port.getsockname()[1]
        self.script = [
            "set -eu -o pipefail",
            "__number=0",
            "trap '__code=$?; test $__number = 0 || { echo; echo \"<<<code $__number $__code>>>\"; }' EXIT",
        ]
        self.units: list[tuple[pages.Block, str, str | None]] = []
        for block in pages.blocks(path):
            self.add(block)

    def add(self, block: pages.Block):
        for commands in block.before:
            self.script.append(commands)
        if block.file:
            end = "END-OF-BLOCK"
            self.script.append(f"cat > '{block.file}' <<'{end}'\n{block.text}{end}")
        if not block.is_commands() or block.reason is not None:
            return
        units = block.units()
        for index, (command, shown) in enumerate(units):
            code = block.code if index + 1 == len(units) else 0
            self.units.append((block, command, shown))
            number = len(self.units)
            # Any command of a block that fails ends the session, unless the page says that the last one does.
            self.script.append(f"__number={number}; echo; echo '<<<{number}>>>'")
            self.script.append(f"{command.rstrip()}\n__code=$?" if not code else f"set +e\n{command.rstrip()}\n__code=$?\nset -e")
            self.script.append(f"echo; echo \"<<<code {number} $__code>>>\"; test $__code = {code}; __number=0")

    def run(self, folder: Path) -> str:
        """Runs everything and returns the output, in which marks divide the commands."""
        for name in ("sweeps", "python", "docs", "deploy", "datasets"):
            (folder / name).symlink_to(pages.CHECKOUT / name)
        (folder / "home").mkdir()
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
        environment = kept | {
            "HOME": str(folder / "home"),
            "PATH": f"{command_lines.folder()}:{VENV}:{os.environ.get('PATH', os.defpath)}",
            "COLEARN_LISTEN": f"127.0.0.1:{self.port}",
            "USER": "anna",
        }
        output = folder / "home" / "output"
        with output.open("wb") as file:
            shell = subprocess.Popen(
                ["bash", "-c", "\n".join(self.script).replace(":7117", f":{self.port}")],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                shell.wait(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                # Coordinators and workers that the page left in the background.
                for number in (signal.SIGTERM, signal.SIGKILL):
                    try:
                        os.killpg(shell.pid, number)
                    except ProcessLookupError:
                        break
                    if number == signal.SIGTERM:
                        end_of_group(shell.pid)
                shell.wait()
        return output.read_text(encoding="utf-8", errors="replace")

    def problems(self) -> list[str]:
        with tempfile.TemporaryDirectory(prefix="colearn-page-", ignore_cleanup_errors=True) as folder:
            text = self.run(Path(folder)).replace(folder, "/home/anna/sweeps").replace(f":{self.port}", ":7117")
        wrong = []
        for number, (block, command, shown) in enumerate(self.units, 1):
            part = re.search(rf"<<<{number}>>>\n(.*?)\n?<<<code {number} (\d+)>>>", text, re.DOTALL)
            line = command.strip().split("\n")[0]
            if not part:
                wrong.append(f"{block.place}: `{line}` did not end:\n{text[-3000:]}")
                break
            code, expected = int(part[2]), block.code if command == block.units()[-1][0] else 0
            if code != expected:
                wrong.append(f"{block.place}: `{line}` ended with {code}, not {expected}:\n{part[1][-3000:]}")
                break
            if shown is None:
                continue
            found, expected_lines = (compared(it, block.numbers_vary) for it in (part[1], shown))
            if shown.strip() and not agrees(found, expected_lines):
                wrong.append(f"{block.place}: `{line}` prints something else:\n{part[1]}\nThe page shows:\n{shown}")
        return wrong


def end_of_group(group: int) -> None:
    """Waits until the processes of the group have ended, at most ten seconds."""
    subprocess.run(
        ["timeout", "10", "sh", "-c", f"while kill -0 -- -{group} 2>/dev/null; do sleep 0.05; done"], check=False
    )


def has_numpy() -> bool:
    command = [str(VENV / "python3"), "-c", "import numpy"]
    return (VENV / "python3").exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


@unittest.skipUnless(command_lines.folder(), NO_PROGRAMS)
@unittest.skipUnless(has_numpy(), "there is no numpy in .venv: make .venv/stamp")
class Sessions(unittest.TestCase):
    def test_every_command_on_the_pages_runs(self):
        count = 0
        for path in pages.book_pages():
            session = Session(path)
            if not session.units:
                continue
            count += len(session.units)
            with self.subTest(page=path.relative_to(pages.CHECKOUT).as_posix()):
                problems = session.problems()
                self.assertEqual(problems, [], "\n".join(problems))
        self.assertGreater(count, 30)

    def test_a_wrong_page_is_found(self):
        for text, problem in [
            ("```console\n$ echo a\na\n```\n", None),
            ("```console\n$ echo a\nb\n```\n", "prints something else"),
            ("```console\n$ seq 5\n1\n...\n5\n```\n", None),
            ("<!-- numbers vary -->\n```console\n$ echo a 0.25 NCL\na 0.31 PCL\n```\n", None),
            ("```sh\nfalse\n```\n", "ended with 1"),
            ("```sh\nfalse\ntrue\n```\n", "ended with 1"),
            ("<!-- exit code 2 -->\n```sh\ncolearn run --nonsense\n```\n", None),
            ("<!-- before: exit 3 -->\n```sh\ntrue\n```\n", "did not end"),
            ("<!-- file: a.txt -->\n```\nx\n```\n```console\n$ cat a.txt\nx\n```\n", None),
        ]:
            with tempfile.TemporaryDirectory() as folder:
                page = Path(folder) / "page.md"
                page.write_text(text)
                found = Session(page).problems()
            self.assertEqual(bool(found), bool(problem), f"{text}: {found}")
            self.assertTrue(not problem or problem in found[0], found)


MDBOOK = next(
    (str(at) for at in [pages.CHECKOUT / ".venv-book/bin/mdbook", shutil.which("mdbook")] if at and Path(at).exists()), None
)


class Book(unittest.TestCase):
    @unittest.skipUnless(MDBOOK, "there is no mdbook: make book installs it")
    def test_the_book_is_built_without_broken_links(self):
        import book

        with tempfile.TemporaryDirectory() as folder:
            wrong = book.build(MDBOOK, Path(folder))
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
