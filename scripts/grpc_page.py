"""Write docs/grpc.md: services and methods with the comments of proto/colearn/v1. A test keeps it current."""

from __future__ import annotations

import re

import pages

PAGE = pages.CHECKOUT / "docs/grpc.md"
HEAD = """\
# The gRPC API

<!-- Generated from proto/colearn/v1: python3 scripts/grpc_page.py -->

Commands and workers talk to the coordinator by gRPC, in the package `colearn.v1`. The messages with all their fields
are in `proto/colearn/v1` of the source. Fields and methods are only added, so that a client of an older version goes on
working. Beside these services there are the standard ones for health (`grpc.health.v1`) and reflection, by which
`grpcurl` finds the methods. On another address than loopback a client needs TLS with a certificate of a role: [Secure a
coordinator](access.md).
"""
SERVICE = re.compile(r"((?://.*\n)*)service (\w+) \{\n(.*?)\n\}", re.DOTALL)
METHOD = re.compile(r"((?: *//.*\n)*) *rpc (\w+)\(((?:stream )?\w+)\) returns \(((?:stream )?\w+)\)")


def prose(comment: str) -> str:
    """The comment as paragraphs."""
    text = re.sub(r"^ *// ?", "", comment, flags=re.MULTILINE).strip()
    return text.replace("<", "&lt;")


def page() -> str:
    parts = [HEAD]
    for path in sorted((pages.CHECKOUT / "proto/colearn/v1").glob("*.proto")):
        for comment, name, body in SERVICE.findall(path.read_text(encoding="utf-8")):
            parts.append(f"## {name}\n\n{prose(comment)}\n\n| method | takes | returns | |\n|---|---|---|---|")
            for about, method, takes, returns in METHOD.findall(body):
                text = " ".join(prose(about).split()).replace("|", "\\|")
                parts.append(f"| `{method}` | `{takes}` | `{returns}` | {text} |")
            parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
