"""What tests of deploy/ may be skipped for; any other skip there is a failure (conftest.py)."""

import pathlib
import shutil

import pytest

MAY_BE_MISSING = {line.strip() for line in (pathlib.Path(__file__).parents[1] / "deploy/may_be_missing").read_text().splitlines() if line.strip() and not line.startswith("#")}
OTHER_BUILD = "the same files whatever the build"
SANITIZED = "a sanitizer's runtime makes calls of its own"


def missing(tool):
    return f"{tool} is not on this machine"


def needs(tool):
    if not shutil.which(tool):
        pytest.skip(missing(tool))


def allowed(reason):
    return reason in (OTHER_BUILD, SANITIZED) or reason in {missing(tool) for tool in MAY_BE_MISSING}
