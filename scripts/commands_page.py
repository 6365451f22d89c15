"""Write docs/commands.md: what the programs say of themselves with --help. A test keeps it current."""

from __future__ import annotations

import re

import command_lines
import pages

PAGE = pages.CHECKOUT / "docs/commands.md"
HEAD = """\
# Commands

<!-- Generated from the programs: python3 scripts/commands_page.py -->

What `colearn COMMAND --help` prints, for every command, and `colearn-worker --help`. Variables of the environment in
brackets are read where the option is not given.
"""


def page() -> str:
    parts = [HEAD]
    add(["colearn"], parts)
    add(["colearn-worker"], parts)
    return "\n".join(parts)


def add(path: list[str], parts: list[str]) -> None:
    text = command_lines.help_of(*path)
    # What belongs to a machine or a user.
    text = re.sub(r"\[env: ([A-Z_0-9]+)=[^\]]*\]", r"[env: \1]", text)
    text = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    parts.append(f"## {' '.join(path)}\n\n```text\n{text}\n```\n")
    for word in command_lines.subcommands(text):
        # `colearn worker` is `colearn-worker`.
        if word not in ("help", "worker"):
            add([*path, word], parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
