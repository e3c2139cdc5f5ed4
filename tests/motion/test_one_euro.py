"""The One Euro filter: still at rest, without lag in motion."""

from __future__ import annotations

import numpy as np
import pytest

from portrait_anim.config import FPS
from portrait_anim.motion.one_euro import OneEuro

pytestmark = pytest.mark.unit


def filtered(values: np.ndarray, **choices: float) -> np.ndarray:
    one = OneEuro(**choices)  # type: ignore[arg-type]
    return np.array([one.push(value, i / FPS) for i, value in enumerate(values)])


def test_noise_at_rest_goes_and_motion_is_followed_at_once() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (200, 3))
    quiet = filtered(noise, min_cutoff_hz=1.0, beta=5.0)
    assert quiet[50:].std() < 0.5 * noise.std()
    step = np.where(np.arange(100) < 50, 0.0, 1.0)[:, None] + noise[:100, :1]
    followed = filtered(step, min_cutoff_hz=1.0, beta=5.0, speed_cutoff_hz=4.0)
    assert followed[52, 0] > 0.9  # within 120 ms
    slow = filtered(step, min_cutoff_hz=1.0, beta=0.0)
    assert slow[52, 0] < 0.6  # a filter that does not know of speed lags behind


def test_it_is_the_low_pass_filter_of_its_paper() -> None:
    values = np.array([0.0, 1.0, 1.0])
    made = filtered(values[:, None], min_cutoff_hz=2.0, beta=0.0)[:, 0]
    share = 1 / (1 + FPS / (2 * np.pi * 2.0))
    np.testing.assert_allclose(made, [0.0, share, share + share * (1 - share)])


def test_parts_share_one_cutoff_and_times_that_go_back_change_nothing() -> None:
    one = OneEuro(1.0, 10.0)
    one.push(np.zeros(2), 0.0)
    moved = one.push(np.array([1.0, 0.1]), 0.04)
    np.testing.assert_allclose(moved[0] / moved[1], 10.0)
    np.testing.assert_array_equal(one.push(np.array([5.0, 5.0]), 0.04), moved)
    np.testing.assert_array_equal(one.push(np.array([5.0, 5.0]), 0.01), moved)
