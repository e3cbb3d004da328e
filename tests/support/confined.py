#!/usr/bin/env python3
"""Runs a program as the unit confines it: confined.py UNIT PROGRAM ARGUMENTS...

no_new_privs, no capability, and the system calls of SystemCallFilter; any other one kills the process, so that a test
cannot miss it. The sets are systemd's own (`systemd-analyze syscall-filter`).
"""

import ctypes
import os
import subprocess
import sys

import seccomp

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITIES = 41


def expand(name, seen=()):
    """The calls of a set, and of the sets within it."""
    if not name.startswith("@"):
        return {name}
    lines = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return set().union(*(expand(word) for word in words if word != name))


def allowed(unit):
    calls = set()
    for line in open(unit):
        if not line.startswith("SystemCallFilter="):
            continue
        words = line.split("=", 1)[1].split()
        remove = words[0].startswith("~")
        words[0] = words[0].removeprefix("~")
        named = set().union(*(expand(word) for word in words))
        calls = calls - named if remove else calls | named
    return calls | expand("@default")  # as systemd adds it


def main():
    unit, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    header, nothing = Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    filters = seccomp.SyscallFilter(defaction=seccomp.KILL_PROCESS)
    for name in sorted(allowed(unit)):
        try:
            filters.add_rule(seccomp.ALLOW, name)
        except RuntimeError:  # of another architecture
            pass
    if libc.capset(ctypes.byref(header), nothing) != 0:
        sys.exit(f"capset: {os.strerror(ctypes.get_errno())}")
    filters.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
