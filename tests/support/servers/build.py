"""What is built, and for whom."""

import os
import pathlib
import re
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[3]
PRESET = os.environ.get("BULKHEAD_PRESET", "release")
BUILD = ROOT / "build" / PRESET
BULKHEAD = BUILD / "bin" / "bulkhead"
CONTRACT = BUILD / "lib" / "contract"
ABI = ".".join(re.findall(r"#define BH_ABI_(?:MAJOR|MINOR) (\d+)u", (ROOT / "sdk/include/bulkhead/plugin.h").read_text()))
POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
# Where tests keep what needs no disk: a database for each of hundreds of tests takes a minute to delete from one. Docker gives 64 MB here.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 8e9 else "/tmp"
# A sanitized build takes longer to start and to answer: bounds are for liveness, not for speed.
PATIENCE = 30 if PRESET == "release" else 90
