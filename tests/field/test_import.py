"""What importing leaves behind in a process, and what it needs: each in a fresh interpreter."""

import subprocess
import sys

import pytest


def fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


def test_mpyc_leaves_the_root_logger_as_it_was() -> None:
    program = """
import logging
from mpcstats.field import import_mpyc
import_mpyc("mpyc.thresha")
logging.info("somebody else's chatter")
print(logging.root.level == logging.WARNING)
"""
    assert fresh(program) == "True"


@pytest.mark.long
def test_compiled_arithmetic_needs_no_writable_folder() -> None:
    # a package of root's, run by a service account without a home
    program = """
from numba.core import caching
for kind in vars(caching).values():
    if hasattr(kind, "_locator_classes"):
        kind._locator_classes = []
from mpcstats.field import M61
print(M61.mul(M61.from_ints([3]), M61.from_ints([5]))[0])
"""
    assert fresh(program) == "15"
