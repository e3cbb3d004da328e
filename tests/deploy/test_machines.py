"""Pages followed to the letter on machines with systemd, where what they install is not installed yet."""

import json
import pathlib
import subprocess
import sys

import pytest

from conftest import titanic_config
from support.machine import Machine, Network
from support.pages import run_by
from support.servers import PRESET, ROOT, wait_until
from support.skips import OTHER_BUILD

pytestmark = [pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD), pytest.mark.slow]
POSTGRESQL = ("postgresql-15", "postgresql-common", "ssl-cert")


# One that every program there believes, of every name on the pages.
CERTIFICATE = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=titanic.example -keyout key.pem -out certificate.pem \\
  -addext subjectAltName=DNS:titanic.example,DNS:*.postgres.database.azure.com,DNS:*.writer.postgres.database.azure.com
install -m 0644 certificate.pem /usr/local/share/ca-certificates/titanic.crt
update-ca-certificates
echo 127.0.0.1 titanic.example titanic-prod{,-restored,-db.writer}.postgres.database.azure.com alertmanager >>/etc/hosts
"""


def test_a_machine_ends_with_whoever_started_it():
    script = "import sys; from support.machine import Machine; made = Machine(); made.run('systemd-run sleep 1000'); print(made.pid, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        systemd = pathlib.Path("/proc", process.stdout.readline().strip())
        group = next(line.split("/")[1] for line in (systemd / "cgroup").read_text().splitlines() if line.startswith("0::"))
        assert group.startswith("machine-")
        process.kill()
    wait_until(lambda: not list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{group}")), what="the end of its control group")


def test_one_machine_with_systemd(started):
    serve, call, remove = run_by("test_machines.py", "deploy/systemd/README.md")
    proxies = run_by("test_machines.py", "deploy/proxy/README.md")
    _, traffic, _, _ = run_by("test_machines.py", "terraform/DEPLOYMENT_RUNBOOK.md")
    machine = started(Machine, without=(*POSTGRESQL, "nginx-light", "haproxy"))
    machine.run(f"cd {ROOT}\n{serve}", timeout=900)
    called = machine.run(f"cd {ROOT}\n{call}\necho \"$key\" >~/key").stdout
    assert len(json.loads(called.splitlines()[-1])) == 1, called
    machine.run(f"cd {ROOT}\n{CERTIFICATE}")
    for proxy, other in zip(proxies, ("haproxy", "nginx")):
        machine.run(f"systemctl stop {other} || true\ncd {ROOT}\n{proxy}\nTOKEN=$(cat ~/key)\n{traffic}")
    process = machine.run("systemctl show --property=MainPID --value bulkhead").stdout.strip()
    status = machine.run(f"cat /proc/{process}/status").stdout
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status and "\nCapEff:\t0000000000000000\n" in status and "\nUid:\t0" not in status
    assert machine.run("sudo -u nobody cat /etc/bulkhead/secrets/database", check=False).returncode != 0
    machine.run("systemctl reload bulkhead")
    wait_until(lambda: "SIGHUP" in machine.run("journalctl --unit bulkhead").stdout, what="what the host says of it")
    machine.run("systemctl kill --signal=KILL bulkhead")
    machine.run("curl --fail --retry 20 --retry-all-errors --retry-delay 1 --silent http://127.0.0.1:5000/health/ready")  # started again
    machine.run("rm -r /var/lib/apt/lists")  # nothing is fetched for this
    machine.run(remove)
    assert machine.run("ls /etc/bulkhead /usr/bin/bulkhead /var/lib/private/bulkhead", check=False).stdout == ""
    assert machine.run("systemctl is-active bulkhead", check=False).stdout.strip() == "inactive"
    assert machine.run("sudo -u postgres psql -Atc 'select count(*) from people' titanic").stdout.strip() == "891", "the database stays"


def test_rows_over_two_servers(started):
    one_of_them, spread = run_by("test_machines.py", "deploy/postgres/sharding/README.md")
    network = started(Network, coordinator="10.10.20.20", first="10.10.20.21", second="10.10.20.22")
    coordinator, *shards = [started(Machine, name, network, without=POSTGRESQL) for name in network.addresses]
    for each in (coordinator, *shards):
        each.run("cat >password", input="correct horse battery\n")
        each.run(one_of_them, timeout=300)
    coordinator.run("cat >host.yaml", input=titanic_config("postgresql://titanic:correct%20horse%20battery@10.10.20.20/titanic").replace("{port}", "5000").replace("{admin}", "5001"))
    coordinator.run(f"cd {ROOT} && systemd-run --unit=host --same-dir build/release/bin/bulkhead serve ~/host.yaml")
    ask = lambda path: coordinator.run(f"curl --fail --silent --retry 20 --retry-all-errors --retry-delay 1 'http://127.0.0.1:5000{path}'").stdout
    before = [ask("/people?limit=891"), ask("/people?limit=5&order=fare.desc")]
    assert len(json.loads(before[0])) == 891
    coordinator.run(f"cp password {ROOT}/ && cd {ROOT}\n{spread}")
    counts = [int(each.run("sudo -u postgres psql -Atc 'select count(*) from people' titanic").stdout) for each in shards]
    assert sum(counts) == 891 and min(counts) > 250, counts
    assert [ask("/people?limit=891"), ask("/people?limit=5&order=fare.desc")] == before, "by the hosts' own role"


def test_the_database_of_the_runbook(started):
    """Its commands on a PostgreSQL that bears Azure's names, with an administrator who may do little."""
    user, _, certificate, dump = run_by("test_machines.py", "terraform/DEPLOYMENT_RUNBOOK.md")
    machine = started(Machine, without=POSTGRESQL)
    machine.run(CERTIFICATE + """
apt-get install postgresql-15
install -o postgres -m 0600 -t /var/lib/postgresql key.pem certificate.pem
sudo -u postgres psql -v ON_ERROR_STOP=1 <<SQL
create role titanic_admin login createrole password 'of the administrator';
create database titanic owner titanic_admin;
alter system set ssl = on;
alter system set ssl_cert_file = '/var/lib/postgresql/certificate.pem';
alter system set ssl_key_file = '/var/lib/postgresql/key.pem';
SQL
systemctl restart postgresql@15-main
printf 'of the administrator' >administrator
printf 'of the hosts' >password
""", timeout=300)
    machine.run(user)
    assert machine.run("ls administrator password", check=False).stdout == ""
    machine.run("cat >host.yaml", input=titanic_config("postgresql://titanic:of%20the%20hosts@titanic-prod.postgres.database.azure.com/titanic?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt", seed=False))
    machine.run(f"sed -i 's/{{port}}/5000/; s/{{admin}}/5001/' host.yaml && cd {ROOT} && build/release/bin/bulkhead run -c ~/host.yaml people import plugins/people/data/titanic891.csv")
    machine.run(certificate)
    machine.run("printf 'of the hosts' >password")
    assert "TABLE DATA public people titanic" in machine.run(dump).stdout
    assert machine.run("pg_restore --data-only --file=- people.dump | grep -c '^[0-9]'").stdout.strip() == "891"


def test_prometheus_and_alertmanager(started):
    install, silence = run_by("test_machines.py", "deploy/monitoring/README.md")
    machine = started(Machine, "monitor", started(Network, monitor="10.10.30.5"), without=("prometheus", "prometheus-alertmanager"))
    machine.run(f"{CERTIFICATE}\ncd {ROOT}\nfor name in slack-url pagerduty-key smtp-password; do echo https://hooks.slack.example/$name >$name; done\n{install}", timeout=300)
    ask = lambda path: json.loads(machine.run(f"curl --fail --silent --retry 20 --retry-all-errors --retry-delay 1 'http://127.0.0.1:{path}'").stdout)
    rules = [rule["name"] for group in ask("9090/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    assert {"TitanicAPIDown", "TitanicAPIAbsent", "TitanicAPIBackupUnknown"} <= set(rules)
    wait_until(lambda: [each["url"] for each in ask("9090/api/v1/alertmanagers")["data"]["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"], what="Prometheus to know the Alertmanager")
    machine.run(silence)
    [made] = ask("9093/api/v2/silences")
    assert made["comment"] == "upgrade of PostgreSQL" and made["status"]["state"] == "active" and made["matchers"][0]["value"] == "titanic-api"
