"""Hold results.json against docs/results.schema.json, and find keys that nothing describes. Used by the tests."""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema

DOCS = Path(__file__).resolve().parents[2] / "docs"


def closed(schema: Any) -> Any:
    """The schema without keys that it does not name. Readers accept those, but nothing here should write them."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        parts.setdefault("additionalProperties", False)
    return parts


def names(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(names, schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*(names(part) for part in schema.values()))


def main(paths: list[str]) -> int:
    schema = json.loads((DOCS / "results.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(closed(schema))
    documents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    errors = [error for document in documents for error in validator.iter_errors(document)]
    wrong = [f"{error.json_path}: {error.message}" for error in errors]
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    wrong += [f"docs/results.md does not name `{name}`" for name in sorted(names(schema)) if f"`{name}`" not in text]
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
