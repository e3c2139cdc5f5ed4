"""A face that waits: lids, brows, gaze and head of somebody who does not speak, and breath; the mouth stays shut.

Brows, gaze and head are the upper face's net's, which hears silence. In silence that net never blinks (not once
in 15 minutes of digital silence and noise at -60 to -20 dBFS), so blinks are put in here, at the rate of people at
rest. The net's motion depends on noise alone then: where the noise comes round after a film's length, so does the
motion, and the film can be played in a loop without a seam.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.motion.blinks import APART, one_blink
from portrait_anim.motion.breath import DEPTH, air
from portrait_anim.motion.ends import ends_at_rest
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.noise import make_noise
from portrait_anim.motion.upper import UpperMotion, limited, tracks_of

Array = npt.NDArray[np.float32]

SILENCE_S, EDGE_S = 6.0, 1.0  # that the speech nets hear; what is left out of it at both ends
REACH = 56  # frames to either side that make a frame of the net's motion, with its smoothing
CALM = 0.7  # times the head and gaze of somebody who speaks
BLINK_EVERY_S, BLINK_SPREAD = 3.5, 0.45  # mean of the time between blinks, and the deviation of its logarithm
BREATH_SHIFT = 0.012  # IOD by which the head rises with it
BREATH_NOD = np.deg2rad(0.45)  # and tips back


def silence(model: MotionModel) -> Array:
    """Return (latent_width,) what the nets make of silence, on average."""
    latents = model.analyse(np.zeros(round(SILENCE_S * SAMPLE_RATE), np.float32)).latents
    edge = round(EDGE_S * FPS)
    return np.asarray(latents[edge:-edge].mean(0), np.float32)


def idle_motion(
    model: MotionModel, latent: Array, n_frames: int, *, loop: bool, shape: Array, seed: int, head_motion: float,
    blinks: float,
) -> UpperMotion:  # fmt: skip
    """Make lids, brows, gaze and head of a face that waits.

    Args:
        model: the nets.
        latent: (latent_width,) of silence, see :func:`silence`.
        n_frames: T, at 25 fps.
        loop: the motion comes round after T frames; otherwise it begins and ends in the photo's own pose.
        shape: (478, 3) IOD, the photo's face.
        seed: of it all.
        head_motion: 0 to 2.
        blinks: 0 to 3, times the rate of people at rest.
    """
    noise = make_noise(1, n_frames + REACH, torch.Generator().manual_seed(seed))
    noise = _around(_periodic(noise, n_frames), REACH) if loop else noise[..., :n_frames]
    tracks = tracks_of(
        model.upper, np.tile(latent, (noise.shape[2], 1)), noise, shape, 0.0, model.upper.temperament(seed, shape)
    )
    tracks = tracks[REACH : REACH + n_frames] if loop else tracks
    rest = np.ones(n_frames) if loop else ends_at_rest(np.arange(n_frames), n_frames)
    breath = air(np.arange(n_frames), seed, n_frames if loop else None) * min(head_motion, 1.0)
    lid = idle_lids(n_frames, blinks, seed, loop=loop)
    made = limited(tracks, lid, np.asarray(DEPTH * breath, np.float32), rest, CALM * head_motion, blinks)
    risen = (breath * rest)[:, None]
    return replace(
        made,
        shift=np.asarray(made.shift + risen * [0, BREATH_SHIFT, 0], np.float32),
        rotation=np.asarray(made.rotation - risen * [BREATH_NOD, 0, 0], np.float32),
    )


def idle_lids(n_frames: int, blinks: float, seed: int, *, loop: bool) -> Array:
    """Return (T,) closure of the lids, 0..1: blinks at irregular times, none cut at the ends; ``blinks`` as above."""
    lid = np.zeros(n_frames, np.float32)
    if not blinks:
        return lid
    rng = np.random.default_rng([seed, 13])
    every = BLINK_EVERY_S * FPS / blinks
    count = n_frames / every
    n_blinks = max(round(count), 1) if loop else round(count + rng.uniform(-0.5, 0.5))
    between = rng.lognormal(0, BLINK_SPREAD, n_blinks + 1)
    starts = np.cumsum(between)[:-1] / between.sum() * n_frames
    free = 0
    for start in starts:
        shape = one_blink(rng)
        at = max(round(start), free)
        if at + len(shape) <= n_frames:
            lid[at : at + len(shape)] = shape
        free = at + len(shape) + APART
    return lid


def _periodic(noise: Tensor, n_frames: int) -> Tensor:
    """Make (1, C, T) of longer noise, whose start continues its end, with the same variance everywhere."""
    reach = min(noise.shape[2] - n_frames, n_frames)
    share = torch.sin(torch.linspace(0, torch.pi / 2, reach))
    out = noise[..., :n_frames].clone()
    out[..., :reach] = out[..., :reach] * share + noise[..., n_frames : n_frames + reach] * (1 - share**2).sqrt()
    return out


def _around(noise: Tensor, reach: int) -> Tensor:
    """Return (1, C, T + 2 reach): with what comes before and after it."""
    at = torch.arange(-reach, noise.shape[2] + reach) % noise.shape[2]
    return noise[..., at]
