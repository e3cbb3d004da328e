"""Servers that tests start on free loopback ports and stop by their process, a file each."""

from support.servers.build import ABI, BUILD, BULKHEAD, CONTRACT, MEMORY, PATIENCE, POSTGRES_BIN, PRESET, ROOT
from support.servers.host import ENDS_BY_FORCE, Answer, Host
from support.servers.openid import OpenIdProvider
from support.servers.pgbouncer import PgBouncer
from support.servers.ports import free_port, wait_until
from support.servers.postgres import Postgres, Replica, as_postgres
from support.servers.raw import Raw
from support.servers.redis import Redis

__all__ = [
    "ABI", "BUILD", "BULKHEAD", "CONTRACT", "ENDS_BY_FORCE", "MEMORY", "PATIENCE", "POSTGRES_BIN", "PRESET", "ROOT", "Answer", "Host", "OpenIdProvider", "PgBouncer",
    "Postgres", "Raw", "Redis", "Replica", "as_postgres", "free_port", "wait_until",
]
