"""Lids, brows, gaze and head of a speaking face, made from noise and the voice's latents.

A convolutional generator, trained against three discriminators (:mod:`portrait_anim.training.upper.trainer`), after
Vougioukas, Petridis, Pantic 2020, "Realistic Speech-Driven Facial Animation with GANs", who also drive blinks and brows
by noise. Theirs makes pixels, this one motion. Training by the distance to real motion alone gives no blinks: the
sound does not tell when they happen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.kept import let_go
from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.state import depth_of
from portrait_anim.motion.blinks import BlinkPacer, RestBlinks
from portrait_anim.motion.breath import breathing
from portrait_anim.motion.ends import ends_at_rest
from portrait_anim.motion.limits import limited_turn
from portrait_anim.motion.noise import N_NOISE, make_noise
from portrait_anim.motion.temperament import N_PARTS, SLOW_REACH, drawn, gains, with_slow
from portrait_anim.system.easing import bent

Array = npt.NDArray[np.float32]

# Units: lid closure 0..1; IOD; radians; IOD; natural logarithm. Axes as in FaceState.
TRACKS = (
    "lid", "brow_inner", "brow_outer", "gaze_x", "gaze_y", "nod", "turn", "tilt", "shift_x", "shift_y", "size",
)  # fmt: skip
LID, BROWS, GAZE, ROTATION, SHIFT, SIZE = 0, slice(1, 3), slice(3, 5), slice(5, 8), slice(8, 10), slice(10, 11)
MEAN_BLINK_RATE, SPREAD_BLINK_RATE = 0.45, 0.35  # blinks/s of real people
BLINK_LIMITS = (-1.3, 2.0)  # of the rate given to the net, in spreads from the mean; as in training
RATE_RANGE = (0.0, MEAN_BLINK_RATE + SPREAD_BLINK_RATE * BLINK_LIMITS[1])  # blinks/s
SHAPE_LIMIT = 2.0  # of a face's shape coefficients, in standard deviations of the people trained on
N_RATES = 8  # blink rates at which a trained net is measured
HEAD_SMOOTH = 0.6  # frames, Gaussian deviation; the net also learned the jitter of the tracked landmarks
HEAD_REACH = 3  # frames to either side that the smoothing takes in
LID_DEAD = 0.20  # closure below this comes from gaze and tracking noise; it is left out, or faces look drowsy
FREE_SHIFT, MAX_SHIFT = 0.10, 0.16  # IOD that a head moves without turning; beyond, necks in collars look drawn out
FREE_SIZE, MAX_SIZE = 0.05, 0.09  # natural logarithm of the head's size: it leans in and out
FREE_BROWS, MAX_BROWS = 0.05, 0.08  # IOD
BROWS_SHOWN = 1.45  # times a tracked brow's way that a photo's must go to be tracked as far again
MAX_GAZE = 0.16  # rad
AT_ONCE = 3000  # frames (2 minutes) made in one go, with what they depend on; memory does not grow with the film


@dataclass(frozen=True)
class UpperConfig:
    """Sizes; travels with the weights.

    Attributes:
        latent_width: channels of the latents.
        width: channels inside.
        dilations: one residual block each.
        n_shape: coefficients of the neutral face's shape.
    """

    latent_width: int = 128
    width: int = 48
    dilations: tuple[int, ...] = (1, 3, 9, 27)
    n_shape: int = 4

    @property
    def n_conditions(self) -> int:
        """Numbers a film is made for: shape, blink rate, temperament."""
        return self.n_shape + 1 + N_PARTS


class _Block(nn.Module):
    """Residual dilated convolution with a gate; (B, C, T) -> (B, C, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.gate = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        out: Tensor = x + self.mix(functional.glu(self.gate(x), dim=1))
        return out


class UpperGenerator(nn.Module):
    """Latents, noise, face shape and blink rate -> :data:`TRACKS`; a frame depends on 2.1 s to either side.

    Attributes:
        scale: (11,) typical spread of each track; the net's own outputs are in units of it.
        slow: (11,) times which what is slow in its outputs (``SLOW`` low-passed) is shown.
        shape_mean: (1434,) IOD, of people's neutral faces.
        shape_basis: (n_shape, 1434), divided by the spread along it.
        temper_mean, temper_root: (7,), (7, 7) of people's temperaments, see :mod:`portrait_anim.motion.temperament`.
        rates: (2, 8) blinks/s, both rows rising: rates to ask for, and how often the trained net blinks then.
    """

    scale: Tensor
    slow: Tensor
    shape_mean: Tensor
    shape_basis: Tensor
    temper_mean: Tensor
    temper_root: Tensor
    rates: Tensor

    def __init__(self, config: UpperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UpperConfig()
        self.latents = nn.Conv1d(config.latent_width, 32, 1)
        self.noise = nn.Conv1d(N_NOISE, config.width, 1)
        self.enter = nn.Conv1d(32 + config.n_conditions, config.width, 1)
        self.blocks = nn.ModuleList([_Block(config.width, dilation) for dilation in config.dilations])
        self.out = nn.Conv1d(config.width, len(TRACKS), 1)
        self.register_buffer("scale", torch.ones(len(TRACKS)))
        self.register_buffer("slow", torch.ones(len(TRACKS)))
        self.register_buffer("shape_mean", torch.zeros(3 * N_LANDMARKS))
        self.register_buffer("shape_basis", torch.zeros(config.n_shape, 3 * N_LANDMARKS))
        self.register_buffer("temper_mean", torch.zeros(N_PARTS))
        self.register_buffer("temper_root", torch.eye(N_PARTS))
        self.register_buffer("rates", torch.linspace(RATE_RANGE[0], RATE_RANGE[1], N_RATES).repeat(2, 1))

    @property
    def reach(self) -> int:
        """How many frames of latents and noise to either side a frame depends on."""
        return sum(self.config.dilations) + SLOW_REACH

    def asking_for(self, rate: float) -> float:
        """Return the rate to ask for so that the net in fact blinks ``rate`` times a second."""
        asked, found = self.rates.cpu().numpy()
        return float(np.interp(rate, found, asked))

    def temperament(self, seed: int, shape: npt.NDArray[np.floating] | None) -> Array:
        """Return (7,) the temperament of a face (478, 3) IOD for a seed; None is the average face."""
        average, basis = self.shape_mean.cpu().numpy(), self.shape_basis.cpu().numpy()
        away = np.zeros_like(average) if shape is None else np.reshape(shape, -1) - average
        face = np.clip(basis @ away, -SHAPE_LIMIT, SHAPE_LIMIT)
        return drawn(self.temper_mean.cpu().numpy(), self.temper_root.cpu().numpy(), seed, face)

    def condition(self, shape: Tensor | None, blink_rate: Tensor, temperament: Tensor | None) -> Tensor:
        """Return (B, n_conditions) what the motion is made for.

        Args:
            shape: (B, 478, 3) IOD, neutral faces; None is the average face.
            blink_rate: (B,) blinks/s.
            temperament: (B, 7) of :mod:`portrait_anim.motion.temperament`; None is people's mean.
        """
        rate = ((blink_rate - MEAN_BLINK_RATE) / SPREAD_BLINK_RATE).clamp(*BLINK_LIMITS)[:, None]
        if shape is None:
            coefficients = rate.new_zeros(len(rate), self.config.n_shape)
        else:
            coefficients = (shape.flatten(1) - self.shape_mean) @ self.shape_basis.T
        if temperament is None:
            lively = rate.new_zeros(len(rate), N_PARTS)
        else:
            lively = torch.linalg.solve_triangular(self.temper_root, (temperament - self.temper_mean).T, upper=False).T
        limited = [part.clamp(-SHAPE_LIMIT, SHAPE_LIMIT) for part in (coefficients, lively)]
        return torch.cat([limited[0], rate, limited[1]], 1)

    def forward(self, latents: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
        """Make the tracks of somebody with an average clip's amplitudes, in units of ``scale``.

        Args:
            latents: (B, latent_width, T) of the AudioEncoder.
            noise: (B, 20, T) from :func:`portrait_anim.motion.noise.make_noise`.
            condition: (B, n_conditions) from :meth:`condition`.

        Returns:
            (B, 11, T).
        """
        over_time = condition[:, :, None].expand(-1, -1, latents.shape[-1])
        x = self.enter(torch.cat([self.latents(latents), over_time], 1)) + self.noise(noise)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(x)
        return out


def _soft_limit(track: Array, limit: float) -> Array:
    """Limit a track smoothly to ``limit`` in size; values up to half of it hardly change."""
    return np.asarray(limit * np.tanh(track / limit), np.float32)


def make_tracks(
    net: UpperGenerator, latents: Array, *, shape: npt.NDArray[np.floating] | None, seed: int, blinks: float = 1.0
) -> Array:
    """Return (T, 11) :data:`TRACKS` for a voice, in the units named there; arguments as in :func:`upper_motion`."""
    noise = make_noise(1, len(latents), torch.Generator().manual_seed(seed))
    return tracks_of(net, latents, noise, shape, blinks, net.temperament(seed, shape))


def tracks_of(
    net: UpperGenerator, latents: Array, noise: Tensor, shape: npt.NDArray[np.floating] | None, blinks: float,
    temperament: Array,
) -> Array:  # fmt: skip
    """Return (T, 11) :data:`TRACKS` for latents (T, latent_width), noise (1, 20, T) and a temperament (7,).

    The net is asked for the natural blink rate, or for none where ``blinks`` is 0. Other rates are made afterwards by
    adding and removing blinks, see :mod:`portrait_anim.motion.blinks`.
    """
    with torch.no_grad():
        device = net.scale.device
        face = None if shape is None else torch.as_tensor(np.asarray(shape, np.float32), device=device)[None]
        rate = torch.full((1,), net.asking_for(MEAN_BLINK_RATE if blinks else 0.0), device=device)
        lively = torch.as_tensor(temperament, device=device)[None]
        condition, made = net.condition(face, rate, lively), np.empty((len(latents), len(TRACKS)), np.float32)
        for start in range(0, len(latents), AT_ONCE):
            end = min(start + AT_ONCE, len(latents))
            low, high = max(0, start - net.reach), min(end + net.reach, len(latents))
            driven = torch.from_numpy(np.ascontiguousarray(latents[low:high].T))[None].to(device)
            tracks = net(driven, noise[..., low:high].to(device), condition)[0] * net.scale[:, None]
            made[start:end] = tracks.T[start - low : end - low].cpu().numpy()
            let_go(latents)
    made = with_slow(made, net.slow.cpu().numpy()) * gains(temperament, len(TRACKS))
    for part in (ROTATION, SHIFT, SIZE):
        made[:, part] = gaussian_filter1d(made[:, part], HEAD_SMOOTH, axis=0, mode="nearest", radius=HEAD_REACH)
    return np.asarray(made, np.float32)


@dataclass(frozen=True)
class UpperMotion:
    """The result of :func:`upper_motion`; fields as in :class:`portrait_anim.motion.space.Motion`."""

    blink: Array
    brows: Array
    gaze: Array
    rotation: Array
    shift: Array
    breath: Array


def upper_motion(
    net: UpperGenerator, latents: Array, *, shape: npt.NDArray[np.floating] | None, seed: int, head_motion: float,
    blinks: float,
) -> UpperMotion:  # fmt: skip
    """Make lids, brows, gaze and head for a whole recording; they start and end in the photo's own pose.

    Args:
        net: the trained generator.
        latents: (T, latent_width) of the AudioEncoder.
        shape: (478, 3) IOD, the photo's face; None is the average face.
        seed: of the noise.
        head_motion: 0 (perfectly still) to 2 (lively); scales head, brows and gaze.
        blinks: 0 (none) to 3, times the natural rate.
    """
    made = make_tracks(net, latents, shape=shape, seed=seed, blinks=blinks)
    lid, pacer = closure(made), pacer_of(blinks, seed)
    rest = ends_at_rest(np.arange(len(made)), len(made))
    breath = breathing(np.arange(len(made)), seed, head_motion)
    lid = lid if pacer is None else pacer.film(lid)
    if blinks:
        lid = RestBlinks(blinks, seed).push(lid)
    return limited(made, lid, breath, rest, head_motion, blinks)


def closure(made: Array) -> Array:
    """Return (T,) 0..1 how far lids are shut in (T, 11) :data:`TRACKS`."""
    return np.asarray(np.clip((made[:, LID] - LID_DEAD) / (1 - LID_DEAD), 0, 1), np.float32)


def pacer_of(blinks: float, seed: int) -> BlinkPacer | None:
    """Return what adds or removes blinks; None where the net's own are wanted (``blinks`` 1), or none (0)."""
    return None if blinks in (0, 1) else BlinkPacer(blinks, seed)


def limited(
    made: Array, lid: Array, breath: Array, rest: npt.NDArray[np.floating], head_motion: float, blinks: float
) -> UpperMotion:
    """Turn the net's tracks into the motion of a face.

    Args:
        made: (T, 11) :data:`TRACKS`; they are kept within limits.
        lid: (T,) closure of the lids, 0..1.
        breath: (T,) IOD by which shoulders and chest have risen.
        rest: (T,) 0..1, factor of all the motion, for fading.
        head_motion: as in :func:`upper_motion`.
        blinks: 0 keeps the lids open.
    """
    n_frames = len(made)
    rest = rest[:, None].astype(np.float32)
    lid = np.asarray(lid * rest[:, 0] * float(blinks > 0), np.float32)
    shift = np.zeros((n_frames, 3), np.float32)
    shift[:, :2] = bent(made[:, SHIFT] * head_motion, FREE_SHIFT, MAX_SHIFT - FREE_SHIFT)
    shift[:, 2] = depth_of(np.exp(bent(made[:, SIZE][:, 0] * head_motion, FREE_SIZE, MAX_SIZE - FREE_SIZE)))
    brows = bent(BROWS_SHOWN * made[:, BROWS] * head_motion, FREE_BROWS, MAX_BROWS - FREE_BROWS)
    return UpperMotion(
        blink=np.repeat(lid[:, None], 2, axis=1).astype(np.float32),
        brows=(brows * rest).astype(np.float32),
        gaze=_soft_limit(made[:, GAZE] * min(head_motion, 1.5), MAX_GAZE) * rest,
        rotation=limited_turn(made[:, ROTATION] * head_motion) * rest,
        shift=shift * rest,
        breath=breath * rest[:, 0],
    )
