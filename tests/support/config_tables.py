"""Writes the configuration table of every plugin's README from its schema.

  python3 tests/support/config_tables.py
"""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = re.compile(r"<!-- config -->\n.*?<!-- /config -->", re.S)


def rows(schema, prefix=""):
    for name, part in schema["properties"].items():
        kind = part["type"] if isinstance(part["type"], str) else " or ".join(part["type"])
        if part.get("properties"):
            yield f"| `{prefix}{name}` | {kind} | | {part['description']} |"
            yield from rows(part, f"{prefix}{name}.")
            continue
        default = "required" if name in schema.get("required", []) else f"`{json.dumps(part['default'])}`" if "default" in part else ""
        yield f"| `{prefix}{name}` | {kind} | {default} | {part['description']} |"


def readme(folder):
    schema = json.loads((folder / "schema.json").read_text())
    table = "\n".join(["| key | type | default | what it is |", "|---|---|---|---|", *rows(schema)])
    text = (folder / "README.md").read_text()
    assert PLACE.search(text), f"{folder}/README.md has no place for the table"
    return text, PLACE.sub(lambda _: f"<!-- config -->\n{table}\n<!-- /config -->", text)


def folders():
    return sorted(path.parent for path in ROOT.glob("plugins/*/schema.json"))


if __name__ == "__main__":
    for each in folders():
        (each / "README.md").write_text(readme(each)[1])
