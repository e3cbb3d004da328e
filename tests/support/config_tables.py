"""Writes the configuration table of the host, and of every plugin, into its README from its schema.

  python3 tests/support/config_tables.py
"""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = re.compile(r"<!-- config -->\n.*?<!-- /config -->", re.S)


def rows(root, schema, prefix=""):
    for name, part in schema["properties"].items():
        part = resolve(root, part)
        kind = part["type"] if isinstance(part["type"], str) else " or ".join(part["type"])
        items = resolve(root, part.get("items", {}))
        inner = f"{prefix}{name}." if part.get("properties") else f"{prefix}{name}[]."
        default = "required" if name in schema.get("required", []) else f"`{json.dumps(part['default'])}`" if part.get("default", {}) not in ({}, None) else ""
        yield f"| `{prefix}{name}` | {kind} | {default} | {part['description']} |"
        if part.get("properties") or items.get("properties"):
            yield from rows(root, part if part.get("properties") else items, inner)


def resolve(root, part):
    return root["definitions"][part["$ref"].removeprefix("#/definitions/")] if "$ref" in part else part


def readme(page, schema):
    schema = json.loads(schema.read_text())
    table = "\n".join(["| key | type | default | what it is |", "|---|---|---|---|", *rows(schema, schema)])
    text = page.read_text()
    assert PLACE.search(text), f"{page} has no place for the table"
    return text, PLACE.sub(lambda _: f"<!-- config -->\n{table}\n<!-- /config -->", text)


def pages():
    """(README, schema) of the host, then of each plugin."""
    plugins = sorted(ROOT.glob("plugins/*/schema.json"))
    return [(ROOT / "configs/README.md", ROOT / "core/config/schema.json"), *((schema.parent / "README.md", schema) for schema in plugins)]


if __name__ == "__main__":
    for each in pages():
        each[0].write_text(readme(*each)[1])
