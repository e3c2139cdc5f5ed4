"""Blinks, gaze, brows and head: seeded motion that keeps a face alive while the mouth speaks.

A generator of few parameters: blinks at the rates and durations of real people (field.md: .24 to .75 a second; the
lids fall faster than they rise), small gaze darts between them, and a head that nods with the loudness of the voice
on top of a slow drift. Every track starts and ends at rest in the photo's own pose.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from portrait_anim.config import FPS

Array = npt.NDArray[np.float32]

BLINK_GAP_S = (1.4, 5.0)  # from one blink's start to the next: .2 to .7 a second
BLINK_SHUT_S = 0.10  # lids fall
BLINK_HOLD_S = 0.04
BLINK_OPEN_S = 0.16  # lids rise
REST_S = 0.4  # fade from and to rest at both ends
SWAY_RAD = np.array([0.034, 0.046, 0.027])  # nod, turn and tilt; with the nods gives real people's spread and speed
SWAY_BANDS = ((1.1, 0.75), (0.40, 0.50), (0.18, 0.22))  # the sway's noises: seconds, share
SWAY_SHIFT = np.array([0.010, 0.008, 0.0])  # IOD
NOD_RAD = 0.060  # a fully loud syllable's nod
BROW_RAISE = 0.035  # IOD, on the strongest stress


def blinks(n_frames: int, rng: np.random.Generator, amount: float) -> Array:
    """Return (T, 2) lid closure; ``amount`` scales the rate, 0 is none."""
    closure = np.zeros((n_frames, 2), np.float32)
    if amount <= 0:
        return closure
    time = (np.arange(n_frames) + 0.5) / FPS
    duration = n_frames / FPS
    start = rng.uniform(0.5, 2.5) / max(amount, 0.25)
    while start + BLINK_SHUT_S + BLINK_HOLD_S + BLINK_OPEN_S < duration - 0.1:
        stretch = rng.uniform(0.85, 1.25)
        fall = (time - start) / (BLINK_SHUT_S * stretch)
        rise = 1 - (time - start - (BLINK_SHUT_S + BLINK_HOLD_S) * stretch) / (BLINK_OPEN_S * stretch)
        lid = np.clip(np.minimum(fall, rise), 0, 1)
        lid = lid * lid * (3 - 2 * lid)
        closure = np.maximum(closure, (lid[:, None] * [1.0, rng.uniform(0.96, 1.0)]).astype(np.float32))
        start += rng.uniform(*BLINK_GAP_S) / amount
    return closure


def _ends_at_rest(n_frames: int) -> npt.NDArray[np.float64]:
    """Return (T,) 0 at both ends, 1 in between, with a smooth fade of ``REST_S``."""
    frames = np.arange(n_frames)
    near = np.minimum(frames, n_frames - 1 - frames) / (REST_S * FPS)
    ramp = np.clip(near, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _smooth_noise(n_frames: int, width: int, sigma_s: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return (T, width) Gaussian noise of unit variance, low-passed with a Gaussian of ``sigma_s`` seconds."""
    sigma = sigma_s * FPS
    raw = rng.standard_normal((n_frames + round(8 * sigma), width))
    smooth = gaussian_filter1d(raw, sigma, axis=0, mode="wrap")[:n_frames]
    return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * sigma))


def head(loudness: npt.NDArray[np.floating], rng: np.random.Generator, amount: float) -> tuple[Array, Array, Array]:
    """Return rotation (T, 3) radians, shift (T, 3) IOD and brows (T, 2) IOD for a voice.

    Args:
        loudness: (T,) 0..1, how loud the voice is (0 where nobody speaks).
        rng: source of the sway.
        amount: 0 perfectly still, 1 natural, 2 lively.
    """
    n_frames = len(loudness)
    rest = _ends_at_rest(n_frames)[:, None]
    sway = sum(share * _smooth_noise(n_frames, 3, seconds, rng) for seconds, share in SWAY_BANDS)
    talking = gaussian_filter1d(np.asarray(loudness, np.float64), 0.8 * FPS, mode="nearest")[:, None]
    rotation = sway * SWAY_RAD * (0.45 + 0.9 * talking)
    quick, slow = (gaussian_filter1d(np.asarray(loudness, np.float64), s * FPS, mode="nearest") for s in (0.12, 0.7))
    stress = quick - slow  # above the phrase's own level
    rotation[:, 0] += NOD_RAD * stress
    shift = _smooth_noise(n_frames, 3, 1.2, rng) * SWAY_SHIFT
    shift[:, 0] += 0.25 * rotation[:, 1]  # the head turns about the neck, which is behind and below the eyes
    brows = np.clip(gaussian_filter1d(stress, 0.1 * FPS) * 2.5 - 0.25, 0, 1)[:, None] * [BROW_RAISE, 0.8 * BROW_RAISE]
    scale = np.float32(amount)
    return (
        (rotation * rest).astype(np.float32) * scale,
        (shift * rest).astype(np.float32) * scale,
        (brows * rest).astype(np.float32) * min(scale, np.float32(1)),
    )


def gaze(n_frames: int, rng: np.random.Generator, amount: float) -> Array:
    """Return (T, 2) radians: rare small darts, held and then taken back to the photo's own gaze."""
    track = np.zeros((n_frames, 2))
    at = rng.uniform(1.0, 3.0)
    while at * FPS < n_frames - FPS:
        hold = rng.uniform(0.4, 1.2)
        target = rng.normal(0, 1, 2) * [0.055, 0.03]
        track[round(at * FPS) : round((at + hold) * FPS)] = np.clip(target, -0.11, 0.11)
        at += hold + rng.uniform(1.5, 4.0)
    smooth = gaussian_filter1d(track, 0.7, axis=0) * _ends_at_rest(n_frames)[:, None]
    return np.asarray(smooth * min(amount, 1.5), np.float32)
