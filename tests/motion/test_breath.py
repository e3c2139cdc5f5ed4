"""Breathing, with head motion and without."""

import numpy as np
import pytest

from portrait_anim.motion.breath import DEPTH, PERIOD_S, breathing

pytestmark = pytest.mark.unit

MINUTE = np.arange(60 * 25)


def test_it_is_steady_and_as_fast_as_people_breathe() -> None:
    for seed in range(5):
        breath = breathing(MINUTE, seed, 1.0)
        assert breath[0] == 0
        assert 0.95 * DEPTH < breath.max() <= DEPTH
        assert np.abs(np.diff(breath)).max() < 0.1 * DEPTH
        tops = ((breath[1:-1] > breath[:-2]) & (breath[1:-1] >= breath[2:])).sum()
        assert 60 / PERIOD_S[1] - 2 <= tops <= 60 / PERIOD_S[0] + 2


def test_a_still_head_does_not_breathe_and_pieces_fit_together() -> None:
    assert not breathing(MINUTE, 0, 0.0).any()
    np.testing.assert_array_equal(breathing(MINUTE[700:], 3, 1.0), breathing(MINUTE, 3, 1.0)[700:])
    assert (breathing(MINUTE, 1, 1.0) != breathing(MINUTE, 2, 1.0)).any()
