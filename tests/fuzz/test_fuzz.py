"""Strangers' files, changed at random: each is read, or refused in one line. docs/testing.md has the long version."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import CORPUS, TARGETS, check, seeds

pytestmark = pytest.mark.media

INPUTS = {"sound": 15, "verify": 4, "manifest": 60, "photo": 150}  # of a target; 300 of the others
FOUND = sorted(CORPUS.glob("*.*"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_once(path: Path) -> None:
    check(TARGETS[path.name.partition(".")[0]], path)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs(name: str, tmp_path: Path) -> None:
    target, given, rng = TARGETS[name], seeds(name), random.Random(1)
    refused = 0
    for _ in range(INPUTS.get(name, 300)):
        start = rng.choice(sorted(given))
        path = tmp_path / f"input{Path(start).suffix}"
        path.write_bytes(mutated(given[start], list(given.values()), target.words, rng))
        refused += check(target, path) is not None
    if name not in ("manifest", "store", "verify"):  # which refuse nearly nothing
        assert refused > 0
    assert {path.stem for path in tmp_path.iterdir()} == {"input"}


def test_seeds_are_good(tmp_path: Path) -> None:
    """What mutations begin with is read without an error, or they would test nothing."""
    for name, target in TARGETS.items():
        for start, data in target.seeds().items():
            path = tmp_path / start
            path.write_bytes(data)
            assert check(target, path) is None, (name, start)
