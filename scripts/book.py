"""Build the book: the pages of docs and deploy as HTML, with mdBook.

    python3 scripts/book.py MDBOOK FOLDER

mdBook reads one folder. The pages stay where they are, because they link to each other and to files beside them, so they
and the files that they link to are copied into FOLDER/src first. Links that lead nowhere in the result are errors.
"""

from __future__ import annotations

import html.parser
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pages

ROOT = pages.CHECKOUT


def source_files() -> set[Path]:
    """The pages of the summary."""
    summary = ROOT / "docs/SUMMARY.md"
    chapters = {(summary.parent / target).resolve() for _, target in pages.links(summary.read_text(encoding="utf-8"))}
    return chapters


def without_book(path: Path, chapters: set[Path], text: str) -> str:
    """The page with links to what is no chapter as plain names: the book has only chapters and images."""
    within = False
    lines = []
    for line in text.split("\n"):
        if line.strip().startswith("```"):
            within = not within
        lines.append(line if within else pages.LINK.sub(lambda link: kept(path, chapters, link), line))
    return "\n".join(lines)


def kept(path: Path, chapters: set[Path], link: re.Match[str]) -> str:
    target = link[1]
    if re.match(r"[a-z][a-z0-9+.-]*:|#", target):
        return link[0]
    other = (path.parent / target.partition("#")[0]).resolve()
    if other in chapters and other.name == "README.md":
        return link[0].replace("README.md", "index.md")
    if other in chapters or other.suffix in (".png", ".json", ".svg"):
        return link[0]
    label = re.sub(r"^!?\[(.*)\]\(.*$", r"\1", link[0])
    name = other.relative_to(ROOT.resolve()).as_posix()
    return label if name in label or label.strip("`") in name else f"{label} (`{name}` in the source)"


def stage(source: Path) -> None:
    """Copies pages, images and schemas into the folder that mdBook reads."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    chapters = source_files()
    for path in chapters:
        name = path.relative_to(ROOT.resolve())
        text = without_book(path, chapters, path.read_text(encoding="utf-8"))
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        # mdBook calls the page of a README index.html, and leaves links to it as they are.
        name = name.with_name(name.name.replace("README", "index"))
        (source / name).write_text(text, encoding="utf-8")
        for _, target in pages.links(text):
            other = (path.parent / target.partition("#")[0]).resolve()
            if other.suffix in (".png", ".json", ".svg") and other.is_file():
                copy = source / other.relative_to(ROOT.resolve())
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(other, copy)
    # The paths of the summary are those of the folder docs; mdBook wants it at the top.
    summary = (ROOT / "docs/SUMMARY.md").read_text(encoding="utf-8")
    moved = re.sub(r"\]\(([^)]+)\)", lambda link: f"]({posixpath.normpath('docs/' + link[1]).replace('README', 'index')})", summary)
    (source / "SUMMARY.md").write_text(moved, encoding="utf-8")


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.names.add(str(found["id"]))
        target = found.get("href") if tag in ("a", "link") else found.get("src")
        if target:
            self.targets.append(target)


def broken(folder: Path) -> list[str]:
    """Links of the built pages that lead nowhere."""
    read: dict[Path, Page] = {}
    for path in folder.rglob("*.html"):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        read[path.resolve()] = page
    wrong = []
    for path, page in read.items():
        # They repeat the pages: all chapters in one, the list of chapters, and the page of unknown addresses.
        if path.name in ("print.html", "toc.html", "404.html"):
            continue
        for target in page.targets:
            if re.match(r"[a-z][a-z0-9+.-]*:|//", target):
                continue
            name, _, anchor = unquote(target).partition("#")
            other = (path.parent / name).resolve() if name else path
            if not other.exists():
                wrong.append(f"{path.relative_to(folder.resolve())}: {target}")
            elif anchor and other in read and anchor not in read[other].names:
                wrong.append(f"{path.relative_to(folder.resolve())}: {target}: no such anchor")
    return sorted(set(wrong))


def build(mdbook: str, folder: Path) -> list[str]:
    """Builds the book in FOLDER/html. Returns the broken links."""
    wrong = [link for path in source_files() for link in pages.broken_links(path)]
    folder.mkdir(parents=True, exist_ok=True)
    stage(folder / "src")
    shutil.copy(ROOT / "docs/book.toml", folder / "book.toml")
    subprocess.run([mdbook, "build", str(folder)], check=True)
    return wrong + broken(folder / "html")


if __name__ == "__main__":
    problems = build(sys.argv[1], Path(sys.argv[2]))
    for problem in problems:
        print(f"broken link: {problem}", file=sys.stderr)
    if not problems:
        print(f"the book: {sys.argv[2]}/html/index.html")
    sys.exit(1 if problems else 0)
