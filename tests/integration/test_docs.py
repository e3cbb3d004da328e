"""The documentation is true: README's tour line by line, tables from the schemas, the description of the API."""

import json
import re
import subprocess

import pytest

from conftest import titanic_config
from support import config_tables
from support.certificates import Authority
from support.servers import PRESET, ROOT, Host, Raw, free_port, wait_until
from test_people import BRAUND, NEW


def console_blocks(text):
    """(command, expected output) of every ```console block."""
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def test_the_tour_of_the_readme(tmp_path):
    """With the configuration that ships, on other ports and another file."""
    host = Host("", tmp_path, start=False)
    host.config = ROOT / "configs/titanic.yaml"
    host.environment.update(LISTEN=f"127.0.0.1:{host.port}", ADMIN_LISTEN=f"127.0.0.1:{host.admin}", DATABASE_URL=f"sqlite:///{tmp_path}/titanic.db")
    host.start()
    host.wait_ready()
    commands = list(console_blocks((ROOT / "README.md").read_text()))
    assert len(commands) >= 10
    for command, expected in commands:
        local = command.replace("127.0.0.1:5000", f"127.0.0.1:{host.port}").replace("127.0.0.1:5001", f"127.0.0.1:{host.admin}").replace("build/release", f"build/{PRESET}")
        # No pipefail: who writes to `head` fails when that has seen enough.
        shown = subprocess.run(["bash", "-c", local], cwd=ROOT, capture_output=True, text=True)
        assert shown.returncode == 0, (command, shown.stderr)
        pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, shown.stdout.strip(), re.S), f"$ {command}\n{shown.stdout}"
    host.stop()


def test_the_plugin_of_the_readme_is_the_one_that_is_built():
    shown = re.search(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    source = (ROOT / "tests/contract/plugins/cpp_hello.cpp").read_text()
    squeeze = lambda text: re.sub(r"\s+", " ", text).strip()
    assert squeeze(shown) in squeeze(source)


@pytest.mark.parametrize("page, schema", config_tables.pages(), ids=lambda path: path.parent.name)
def test_configuration_tables_come_from_the_schemas(page, schema):
    now, wanted = config_tables.readme(page, schema)
    assert now == wanted, "run: python3 tests/support/config_tables.py"


def test_the_tls_example_of_the_configs_serves(hosts, tmp_path):
    """The YAML as it stands in configs/README.md, with files and ports of this test."""
    authority = Authority(tmp_path / "ca")
    authority.issue("localhost", file="server")
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "configs/README.md").read_text(), re.S) if "tls:" in block)
    text = text.replace("/etc/bulkhead/", f"{tmp_path}/ca/").replace("clients.pem", "authority.pem").replace("0.0.0.0:5443", "127.0.0.1:{port}").replace("127.0.0.1:5000", f"127.0.0.1:{free_port()}")
    host = hosts(text + "plugins:\n  - id: health\n")
    with Raw(host.port, tls=authority.client()) as raw:
        assert raw.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").answer().json["status"] == "alive"


def test_links_of_the_documentation_lead_somewhere():
    for page in [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("plugins/*/README.md"), *ROOT.glob("core/*/README.md"), *ROOT.glob("tests/*/README.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


# ----------------------------------------------------------------- the description

def resolve(description, value):
    while isinstance(value, dict) and "$ref" in value:
        at = description
        for key in value["$ref"].removeprefix("#/").split("/"):
            at = at[key]
        value = at
    return value


def conforms(description, schema, value, at=""):
    """What of JSON Schema the description uses."""
    schema = resolve(description, schema)
    names = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds:
        assert any(isinstance(value, names[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds), (at, value)
    if "enum" in schema:
        assert value in schema["enum"], (at, value)
    if "minimum" in schema and value is not None:
        assert schema["minimum"] <= value <= schema["maximum"], (at, value)
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), at
        for name, part in value.items():
            if name in schema.get("properties", {}):
                conforms(description, schema["properties"][name], part, f"{at}/{name}")
            else:
                assert schema.get("additionalProperties", True) is not False, f"{at}/{name}"
    if isinstance(value, list) and "items" in schema:
        for each in value:
            conforms(description, schema["items"], each, f"{at}/0")


def test_the_description_describes_what_is_answered(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/d.db")).wait_ready()
    description = host.get("/openapi.json").json
    assert description["openapi"] == "3.1.0"
    live = {(route["method"].lower(), route["path"]) for route in host.get("/_host/routes", admin=True).json}
    assert live == {(method, path) for path, methods in description["paths"].items() for method in methods}

    def references(value):
        if isinstance(value, dict):
            if "$ref" in value:
                resolve(description, value)
            for each in value.values():
                references(each)
        elif isinstance(value, list):
            for each in value:
                references(each)

    references(description)
    ids = [operation["operationId"] for methods in description["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    for path, methods in description["paths"].items():
        for name in re.findall(r"{(\w+)}", path):
            for operation in methods.values():
                assert name in {resolve(description, parameter)["name"] for parameter in operation["parameters"]}
    for example in description["components"]["examples"].values():
        assert example["value"]

    def check(method, path, template, body=None, headers=None):
        answer = host.request(method, path, body, headers)
        operation = description["paths"][template][method.lower()]
        described = resolve(description, operation["responses"][str(answer.status)])
        if answer.body:
            kind = answer.headers["content-type"].split(";")[0]
            schema = described["content"][kind]["schema"]
            if "json" in kind:
                conforms(description, schema, answer.json)
        for name in resolve(description, described).get("headers", {}):
            assert name.lower() in answer.headers or name == "Link", name
        return answer

    one, absent = f"/people/{BRAUND['uuid']}", "/people/00000000-0000-4000-8000-000000000000"
    check("GET", "/people", "/people")
    check("GET", "/people?limit=x", "/people")
    check("GET", one, "/people/{uuid}")
    check("GET", one, "/people/{uuid}", headers={"if-none-match": '"1"'})
    check("GET", absent, "/people/{uuid}")
    check("GET", "/people/1", "/people/{uuid}")
    check("PATCH", one, "/people/{uuid}", {"age": 23})
    check("PATCH", one, "/people/{uuid}", {"age": "x"})
    check("PATCH", one, "/people/{uuid}", {"age": 23}, {"if-match": '"77"'})
    check("PUT", one, "/people/{uuid}", NEW)
    check("POST", "/people", "/people", NEW)
    check("POST", "/people", "/people", "{}", {"content-type": "text/plain"})
    check("POST", "/people", "/people", NEW, {"accept": "text/html"})
    check("DELETE", one, "/people/{uuid}")
    check("POST", one + "/restore", "/people/{uuid}/restore")
    for path in ("/health/live", "/health/ready", "/", "/docs", "/openapi.json"):
        check("GET", path, path)


def test_pages_load_nothing_from_elsewhere(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/p.db"))
    for path in ("/", "/docs"):
        page = host.get(path)
        assert page.headers["content-type"].startswith("text/html") and "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(rb'(src|href)="(https?:)?//', page.body)


def test_without_openapi_the_rest_goes_on(hosts, tmp_path):
    config = titanic_config(f"sqlite:///{tmp_path}/o.db").replace("  - id: openapi", "  - id: openapi\n    enabled: false")
    host = hosts(config).wait_ready()
    assert host.get("/docs").status == 404 and host.get("/people?limit=1").status == 200
    assert wait_until(lambda: json.loads(host.get("/health/ready").body))["status"] == "ready"
