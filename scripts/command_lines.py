"""Command lines of colearn on pages: do their subcommands and options exist?"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from pathlib import Path

import pages

PROGRAMS = ("colearn", "colearn-worker", "colearn-trainer")
ENDS = {";", "&&", "||", "|", "&", "(", ")", ">", ">>", "<", "2>", "2>>", "|&"}


def folder() -> Path | None:
    """The folder with the programs of this build."""
    named = os.environ.get("COLEARN_PROGRAMS")
    target = Path(os.environ.get("CARGO_TARGET_DIR", pages.CHECKOUT / "target"))
    folders = [Path(named)] if named else [target / "debug", target / "release"]
    return next((at for at in folders if all((at / program).exists() for program in PROGRAMS)), None)


@functools.cache
def help_of(*words: str) -> str:
    """What a program says of a subcommand, without the user's environment."""
    at = folder()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COLEARN_", "COLUMNS"))}
    command = [str(at / words[0]), *words[1:], "--help"] if at else []
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, stdin=subprocess.DEVNULL)
    return output.stdout


def subcommands(text: str) -> list[str]:
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z][a-z-]*)", listed[1], re.MULTILINE) if listed else []


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z0-9-]*", text))


def split(text: str) -> list[list[str]]:
    """The commands of a line of shell, each as its words; a line that is no shell has none."""
    # Placeholders of prose, such as [--now].
    text = re.sub(r"[\[\]]", " ", text)
    text = re.sub(r"`|\$\(", ";", text)
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&()<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return []
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(";|&()<>"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def fault(words: list[str]) -> str | None:
    """What is wrong with a command of colearn; None also if it is another command."""
    while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0]):
        words = words[1:]
    program = words[0].rsplit("/", 1)[-1] if words else ""
    if program not in PROGRAMS:
        return None
    path = [program]
    rest = words[1:]
    while rest and subcommands(help_of(*path)):
        word = rest[0]
        if word.startswith("-") or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        known = subcommands(help_of(*path))
        # Several at once, as in `alloc slurm|list`, are divided by the shell's rules before this.
        if word not in known:
            return f"`{' '.join(path)}` has no command `{word}`"
        path = ["colearn-worker"] if path == ["colearn"] and word == "worker" else [*path, word]
        rest = rest[1:]
        if word == "help":
            return None
    known = options(help_of(*path)) | {"--help", "-h", "--version", "-V"}
    for word in rest:
        if word == "--":
            break
        option = word.split("=", 1)[0]
        if re.fullmatch(r"--[a-z].*|-[A-Za-z]", option) and option not in known:
            return f"`{' '.join(path)}` has no option `{option}`"
    return None


def on_page(text: str, page: str) -> list[tuple[str, list[str]]]:
    """Every command line of colearn on a page, in blocks and in the text, with its place."""
    found = []
    for block in pages.parse(page, text):
        if block.language in ("sh", "console"):
            for command, _ in block.units():
                lines = re.sub(r"\\\n", " ", command).split("\n")
                for offset, line in enumerate(lines):
                    line = re.sub(r"(^|\s)#.*", "", pages.PROMPT.sub("", line))
                    found += [(f"{page}:{block.line + 1 + offset}", words) for words in split(line)]
    plain = pages.prose(text)
    for code in re.finditer(r"`((?:colearn|colearn-worker|colearn-trainer)\s[^`]*)`", plain):
        line = plain.count("\n", 0, code.start()) + 1
        found += [(f"{page}:{line}", words) for words in split(code[1].replace("\n", " "))[:1]]
    return [(place, words) for place, words in found if words and words[0].rsplit("/", 1)[-1] in PROGRAMS or "=" in words[0]]
