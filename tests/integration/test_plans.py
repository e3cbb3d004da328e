"""What PostgreSQL makes of the statements that the plugins really send, read from its own log (auto_explain)."""

import re

import pytest

from conftest import titanic_config
from support.servers import wait_until

ROWS = 30_000
FILL = (
    "insert into people (uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare) "
    "select gen_random_uuid(), i % 3 = 0, 1 + i % 3, 'Passenger, Mr. Number ' || i, case i % 2 when 0 then 'male' else 'female' end, (i % 800) / 10.0, i % 4, i % 3, i / 64.0 "
    f"from generate_series(1, {ROWS}) i"
)


@pytest.fixture(scope="module")
def explained(postgres, tmp_path_factory):
    """A host over many rows, and plans(target): what the database logs of the plan while the target is answered."""
    from support.servers import Host

    url = postgres.create("plans")
    for setting in ("session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on"):
        postgres.sql(f"alter database plans set {setting}")
    host = Host(titanic_config(url), tmp_path_factory.mktemp("plans")).wait_ready()
    postgres.sql(FILL, "plans")
    postgres.sql("vacuum analyze people", "plans")
    log = postgres.folder / "log"

    def plans(target):
        begin = log.stat().st_size
        answer = host.get(target)
        assert answer.status == 200, answer.body
        wait_until(lambda: b"Query Text: select" in log.read_bytes()[begin:], what="the plan")
        return answer, log.read_bytes()[begin:].decode(errors="replace")

    yield host, plans
    host.stop()


@pytest.mark.parametrize("target, words", [
    ("/people?name=Passenger,%20Mr.%20Number%2012345", "using people_name"), ("/people?fare=100.25&limit=10", "people_fare"), ("/people?age=12.3&fare=2.5", "Index"),
    ("/people?limit=100", "using people_pkey"), ("/people?order=name&limit=100", "using people_name"), ("/people/73ef066a-5fec-5354-981b-d59049b1ea2c", "using people_uuid_key"),
])
def test_indexes_are_used(explained, target, words):
    _, plan = explained[1](target)
    assert words in plan and "Seq Scan" not in plan, plan


@pytest.mark.parametrize("order, index, limit", [("", "people_pkey", 1000), ("order=name&", "people_name", 50)])
def test_a_page_far_in_reads_no_more_rows_than_the_first(explained, order, index, limit):
    host, plans = explained
    target, read = f"/people?{order}limit={limit}", []
    for _ in range(25):
        answer, plan = plans(target)
        target = answer.headers["link"].split(">")[0][1:]
        scan = re.search(rf"Index Scan using {index} .*?rows=(\d+) loops", plan)
        assert scan, plan
        removed = re.search(r"Rows Removed by Filter: (\d+)", plan)
        read.append(int(scan.group(1)) + (int(removed.group(1)) if removed else 0))
    assert max(read) <= limit + 2, read
