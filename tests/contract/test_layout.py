"""sdk/abi/layout.txt is what the headers say: plugins in binary form rely on every line of it."""

import re
import subprocess

import pytest

from support.servers import ABI, ROOT

HEADERS = ROOT / "sdk/include/bulkhead"
LAYOUT = ROOT / "sdk/abi/layout.txt"
FILES = ["plugin.h", *sorted(f"{path.parent.name}/{path.name}" for folder in ("services", "extensions") for path in (HEADERS / folder).glob("*.h"))]


def structs():
    """Names of structs and their members, in the order of the headers."""
    for file in FILES:
        text = re.sub(r"/\*.*?\*/", "", (HEADERS / file).read_text(), flags=re.S)
        text = re.sub(r"union \{.*?\} (\w+);", r"int \1;", text, flags=re.S)
        for name, body in re.findall(r"(?:typedef )?struct (bh_\w+) \{(.*?)\}[^;{]*;", text, re.S):
            members = []
            for declaration in body.split(";"):
                if pointer := re.search(r"\(\*(\w+)\)\s*\(", declaration):
                    members.append(pointer[1])
                elif declaration.strip():
                    members += [re.sub(r"\[.*?\]|\*|\s", "", each).strip() for each in re.sub(r"^\s*(?:const )?\w+\s", "", declaration).split(",")]
            yield name, members


def measured(folder):
    lines = [f'#include "bulkhead/{file}"\n' for file in FILES]
    lines.append("#include <stdio.h>\nint main(void) {\n")
    for name, members in structs():
        lines.append(f'printf("{name} +%zu\\n", sizeof({name}));\n')
        lines += [f'printf("{name}.{member} @%zu +%zu\\n", offsetof({name}, {member}), sizeof((({name} *)0)->{member}));\n' for member in members]
    (folder / "layout.c").write_text("".join(lines) + "return 0; }\n")
    subprocess.run(["gcc", "-std=c99", f"-I{ROOT}/sdk/include", "-o", str(folder / "layout"), str(folder / "layout.c")], check=True)
    return subprocess.run([folder / "layout"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_no_line_is_lost(tmp_path):
    found = measured(tmp_path)
    assert len(found) > 150 and len(set(found)) == len(found)
    kept = LAYOUT.read_text().splitlines()
    assert kept[0] == f"# ABI {ABI}", f"raise it with the header, and write what is there now:\n{chr(10).join(found)}"
    members = [line for line in kept[1:] if "." in line]
    assert [line for line in members if line not in found] == [], "these have changed"
    assert kept[1:] == found, "new lines need a raised minor and their place in layout.txt"


def test_a_change_is_seen(tmp_path):
    """The test itself: a member that moves is another line."""
    assert any(line == "bh_request.flags @4 +4" for line in measured(tmp_path))
    with pytest.raises(AssertionError):
        assert "bh_request.flags @8 +4" in measured(tmp_path)
