"""sdk/cmake/bulkhead_migrations.cmake: what the build refuses."""

import subprocess

import pytest

from support.servers import ROOT


def made(tmp_path, files):
    for name in files:
        path = tmp_path / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("create table t (x);")
    return subprocess.run(
        ["cmake", f"-DFOLDER={tmp_path}/migrations", f"-DOUTPUT={tmp_path}/made.hpp", "-DNAMESPACE=x", "-P", ROOT / "sdk/cmake/bulkhead_migrations.cmake"],
        capture_output=True,
        text=True,
    )


def test_both_dialects(tmp_path):
    assert made(tmp_path, [f"{dialect}/{name}.sql" for dialect in ("postgresql", "sqlite") for name in ("0001_first", "0002_second")]).returncode == 0
    text = (tmp_path / "made.hpp").read_text()
    assert text.count('BH_LIT("second")') == 2 and "{2, 0," in text


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (["postgresql/0001_a.sql"], "sqlite has no migrations"),
        (["postgresql/0001_a.sql", "sqlite/0001_b.sql"], "of sqlite are not"),
        (["postgresql/0002_a.sql", "sqlite/0002_a.sql"], "0002_a.sql"),
        (["postgresql/0001_a.sql", "postgresql/0003_c.sql", "sqlite/0001_a.sql", "sqlite/0003_c.sql"], "0003_c.sql"),
    ],
)
def test_refused(tmp_path, files, why):
    run = made(tmp_path, files)
    assert run.returncode != 0 and why in " ".join(run.stderr.split())
