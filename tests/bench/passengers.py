"""What the benchmarks of the Titanic API share: a table of any size, random targets, the statements pgbench runs."""

import re

from conftest import titanic_config
from support.servers import Host

COLUMNS = "uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare"
SHIPPED = 891
CACHE = "  - id: cache\n    config: { memory_mb: 1024, routes: [{ route: '/people*', ttl_s: 3600 }] }\n"

LOOKUP_LUA = """
function init() math.randomseed(os.time()) end
function request() return wrk.format("GET", string.format("/people/00000000-0000-4000-8000-%012x", math.random(ROWS))) end
"""
# As much work for wrk, and for nobody else.
LIVE_LUA = LOOKUP_LUA.replace("/people/", "/health/live?")
POST_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"survived":false,"passengerClass":3,"name":"Braund, Mr. Owen Harris","sex":"male","age":22,"siblingsOrSpousesAboard":1,"parentsOrChildrenAboard":0,"fare":7.25}'
"""
LIST_LUA = """
targets = {}
for line in io.lines("FILE") do targets[#targets + 1] = line end
function init() math.randomseed(os.time()) end
function request() return wrk.format("GET", targets[math.random(#targets)]) end
"""


def fill(server, database, rows):
    """Adds made-up passengers until there are so many."""
    have = int(server.sql("select count(*) from people", database))
    server.sql(
        f"insert into people ({COLUMNS}) "
        "select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, i % 3 = 0, 1 + i % 3, 'Passenger, Mr. Number ' || i, case i % 2 when 0 then 'male' else 'female' end, i % 80, i % 4, i % 3, (i % 500) / 4.0 "
        f"from generate_series({have - SHIPPED + 1}, {rows - SHIPPED}) i", database,
    )
    server.sql("vacuum analyze people", database)


def first_key():
    return "00000000-0000-4000-8000-000000000001"


def scripts(folder, host, rows, pages=1000):
    """Files for wrk and pgbench by name. The lists' cursors are those that the pages themselves give."""
    made = max(rows - SHIPPED, 1)
    target, targets = "/people?limit=100", []
    while target and len(targets) < pages:
        targets.append(target)
        link = host.get(target).headers.get("link")
        target = re.match("<(.*?)>", link).group(1) if link else None
    (folder / "targets").write_text("\n".join(targets) + "\n")
    (folder / "records").write_text("".join(f"/people/{record['uuid']}\n" for record in host.get("/people?limit=1000").json))
    lookups = LOOKUP_LUA.replace("ROWS", str(made)) if rows > SHIPPED else LIST_LUA.replace("FILE", str(folder / "records"))
    files = {
        "lookup.lua": lookups,
        "list.lua": LIST_LUA.replace("FILE", str(folder / "targets")),
        "live.lua": LIVE_LUA.replace("ROWS", str(made)),
        "post.lua": POST_LUA,
        "lookup.sql": f"\\set n random(1, {made})\nselect {COLUMNS}, version from people where uuid = ('00000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid and deleted_at is null;\n",
        "list.sql": f"\\set n random(0, {max(len(targets) - 1, 0)})\nselect {COLUMNS}, id from people where deleted_at is null and id > :n * 100 order by id limit 100 offset 0;\n",
        "insert.sql": f"insert into people ({COLUMNS}, ticket, cabin, embarked) values (gen_random_uuid(), false, 3, 'Braund, Mr. Owen Harris', 'male', 22, 1, 0, 7.25, null, null, null);\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


def clean(server, database, rows):
    """After inserts: or whatever runs next pays for the dead rows and the old statistics. The plan is the one before."""
    server.sql(f"delete from people where id > (select id from people order by id offset {rows - 1} limit 1)", database)
    server.sql("vacuum full people", database)
    server.sql("analyze people", database)
    plan = server.sql(f"explain select * from people where uuid = '{first_key()}' and deleted_at is null", database)
    assert "Index Scan using people_uuid_key" in plan, plan


def start(server, name, folder, **more):
    return Host(titanic_config(server.url(name), **more), folder).wait_ready()
