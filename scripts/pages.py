"""The Markdown pages: their blocks, commands and links. scripts/test_pages.py and `make book` use it.

A block of commands (```sh, or ```console with prompts and output) is run by the tests, in the order of the page, in one
shell and an empty folder. HTML comments before a block change that:

    <!-- not run: why -->          the block is not run; the reason is required
    <!-- before: COMMANDS -->      commands that are run first and not shown; several lines are possible
    <!-- file: NAME -->            the block is the contents of this file, of any language
    <!-- exit code N -->           the last command of the block ends with this code
    <!-- numbers vary -->          the output is compared without its numbers, verdicts and lines of `...`

In a console block `...` on a line of its own stands for any lines. Output of sh blocks is not compared.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
MARKER = re.compile(r"<!-- *(?:not run:|before:|file:|exit code |numbers vary)")
FENCE = re.compile(r"^( *)```([A-Za-z]*) *$")
PROMPT = re.compile(r"^(?:[a-z]+[0-9]*)?\$ +")


@dataclass
class Block:
    """A fenced block with the line of its fence, counted from 1, and what the comments before it say."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    before: list[str] = field(default_factory=list)
    file: str | None = None
    code: int = 0
    numbers_vary: bool = False
    # Number of comments that were applied to it.
    markers: int = 0

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def is_commands(self) -> bool:
        return self.language in ("sh", "console") and self.file is None

    def units(self) -> list[tuple[str, str | None]]:
        """Commands with the output that the page shows; None if it shows none."""
        if self.language == "sh":
            return [(self.text, None)]
        units: list[tuple[str, str]] = []
        continued = False
        for line in self.text.splitlines(keepends=True):
            if PROMPT.match(line):
                units.append((PROMPT.sub("", line), ""))
            elif continued:
                units[-1] = (units[-1][0] + line, "")
            elif units:
                units[-1] = (units[-1][0], units[-1][1] + line)
            else:
                raise AssertionError(f"{self.place}: a console block begins with a prompt: $ COMMAND")
            continued = line.rstrip("\n").endswith("\\") and not units[-1][1]
        return list(units)


def tracked(*patterns: str) -> list[Path]:
    """Markdown files of the checkout, tracked by git or new."""
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-co", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return [CHECKOUT / name for name in sorted(filter(None, names)) if (CHECKOUT / name).exists()]


def book_pages() -> list[Path]:
    return tracked("README.md", "docs/*.md", "deploy/*.md", "sweeps/*.md")


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page."""
    page = path.relative_to(CHECKOUT).as_posix() if path.is_relative_to(CHECKOUT) else path.name
    return parse(page, path.read_text(encoding="utf-8"))


def parse(page: str, text: str) -> list[Block]:
    found: list[Block] = []
    lines = text.split("\n")
    at = gap = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if not fence:
            at += 1
            continue
        end = next((i for i in range(at + 1, len(lines)) if lines[i].strip() == "```"), None)
        if end is None:
            raise AssertionError(f"{page}:{at + 1}: this block has no end")
        indent = len(fence[1])
        body = "".join(line[indent:] + "\n" for line in lines[at + 1 : end])
        block = Block(page, at + 1, fence[2], body)
        # The comments between the last text and this block.
        between = "\n".join(lines[gap:at])
        tail = COMMENT.sub(lambda comment: comment[0].replace("\n", "\0"), between).rstrip().split("\n")
        for line in reversed(tail):
            comment = COMMENT.fullmatch(line.strip().replace("\0", "\n"))
            if comment:
                block.markers += MARKER.match(comment[0]) is not None
                apply(block, comment[1].strip())
            elif line.strip():
                break
        found.append(block)
        at = gap = end + 1
    return found


def apply(block: Block, comment: str) -> None:
    if comment.startswith("not run:"):
        block.reason = comment.removeprefix("not run:").strip()
    elif comment.startswith("before:"):
        block.before.insert(0, comment.removeprefix("before:").strip())
    elif comment.startswith("file:"):
        block.file = comment.removeprefix("file:").strip()
    elif code := re.fullmatch(r"exit code (\d+)", comment):
        block.code = int(code[1])
    elif comment == "numbers vary":
        block.numbers_vary = True


def prose(text: str) -> str:
    """The page without fenced blocks and comments; lines keep their numbers."""
    kept, within = [], False
    for line in text.split("\n"):
        if line.strip().startswith("```"):
            within = not within
            kept.append("")
        else:
            kept.append("" if within else line)
    return COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), "\n".join(kept))


def anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub and mdBook make them."""
    found: set[str] = set()
    for line in prose(text).split("\n"):
        heading = re.match(r"#{1,6} +(.*)", line)
        if not heading:
            continue
        title = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        count = sum(1 for other in found if re.fullmatch(re.escape(anchor) + r"(-\d+)?", other))
        found.add(anchor if anchor not in found else f"{anchor}-{count}")
    return found


LINK = re.compile(r"(?<!\\)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")


def links(text: str) -> list[tuple[int, str]]:
    """Targets of links and images, with their lines."""
    plain = re.sub(r"`[^`\n]*`", lambda code: " " * len(code[0]), prose(text))
    return [(plain.count("\n", 0, link.start()) + 1, link[1]) for link in LINK.finditer(plain)]


def broken_links(path: Path, root: Path = CHECKOUT) -> list[str]:
    """Links to files that do not exist or anchors that no heading has."""
    text = path.read_text(encoding="utf-8")
    wrong = []
    for line, target in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        place = f"{path.relative_to(root).as_posix()}:{line}: {target}"
        if not other.exists():
            wrong.append(f"{place}: there is no such file")
        elif not other.is_relative_to(root.resolve()):
            wrong.append(f"{place}: this is outside of the checkout")
        elif anchor and other.suffix == ".md" and anchor not in anchors(other.read_text(encoding="utf-8")):
            wrong.append(f"{place}: no heading has this anchor")
    return wrong
