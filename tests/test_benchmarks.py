"""The benchmarks of speed and of lists run; what they print is not judged here."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.package

ROOT = Path(__file__).parents[1]


def test_speed_prints_its_tables() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--sizes", "128x128", "--seconds", "1",
               "--repeats", "1"]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert run.returncode == 0, run.stderr
    for row in ("| 128x128 | 25 |", "| listen |", "| render |", "| mark |", "| peak memory"):
        assert row in run.stdout


def test_batch_prints_its_table() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "batch.py"), "--films", "1", "--seconds", "1", "--size",
               "128x128", "--turns", "1", "--workers", "1"]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert run.returncode == 0, run.stderr
    for row in ("| animate, row by row |", "| batch, 1 worker |", "Of one core alone"):
        assert row in run.stdout
