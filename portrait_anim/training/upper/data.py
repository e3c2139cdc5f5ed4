"""Training examples of the upper face: people's tracks, scaled to one amplitude, with the latents of their voices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portrait_anim.config import FPS
from portrait_anim.errors import DataError
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.temperament import distribution, gains, of_tracks
from portrait_anim.motion.upper import TRACKS
from portrait_anim.training.data.clips import MAIN_PERSON, Alignment
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.steps import check_finite
from portrait_anim.training.upper.tracks import blink_rate, spreads, upper_tracks

Array = npt.NDArray[np.float32]

MIRRORED = [TRACKS.index(name) for name in ("gaze_x", "turn", "tilt", "shift_x")]
LARGEST = 6.0  # spreads; beyond, the tracking was lost
MIN_PEOPLE = 12  # with fewer people the net is not told the shape of a face
LONGEST = 500  # frames of a clip that count when stretches are drawn


@dataclass
class UpperExample:
    """A clip: latents (T, C), tracks (T, 11) of the same frames, neutral face, blinks/s, temperament (7,).

    The tracks are in units of the spreads, with the amplitudes of an average clip.
    """

    person: str
    latents: Array
    tracks: Array
    shape: Array  # (1434,) IOD
    blink_rate: float
    temperament: Array
    clip: str = ""


def latents_of(net: MouthNet, clip: Clip) -> Array:
    """Return (T, C) of a clip, as the pipeline makes them."""
    with torch.no_grad():
        features = torch.from_numpy(clip.tensors["features"].astype(np.float32))[None]
        return np.asarray(net.encoder(features)[0].T.numpy(), np.float32)


def upper_examples(
    net: MouthNet, clips: Sequence[Clip], fits: dict[str, Alignment] | None = None, spread: Array | None = None
) -> tuple[list[UpperExample], Array]:
    """Make examples; each clip's amplitudes and sound offset are removed.

    Args:
        net: whose latents drive.
        clips: the clips.
        fits: by clip id, for the offsets; without one the index's counts.
        spread: (11,) of an average clip; None measures it on these clips, the main speaker left out where there are
            others.

    Returns:
        The examples and the spread.
    """
    for clip in clips:
        check_finite(clip.info.id, clip.tensors)
    tracks = {clip.info.id: upper_tracks(clip) for clip in clips}
    if spread is None:
        others = [tracks[clip.info.id] for clip in clips if clip.info.person != MAIN_PERSON]
        spread = spreads(others or list(tracks.values()))
    examples = []
    for clip in clips:
        mine = tracks[clip.info.id]
        latents = latents_of(net, clip)
        fit = (fits or {}).get(clip.info.id)
        lag = round(fit.lag if fit else float(clip.info.lag_frames or 0))
        temperament = of_tracks(mine, spread)
        scaled = np.clip(mine / gains(temperament, len(TRACKS)) / spread, -LARGEST, LARGEST).astype(np.float32)
        scaled, latents = (scaled[lag:], latents) if lag >= 0 else (scaled, latents[-lag:])
        n_frames = min(len(scaled), len(latents))
        shape = clip.tensors["neutral"].astype(np.float32).reshape(-1)
        examples.append(
            UpperExample(
                clip.info.person, latents[:n_frames], scaled[:n_frames], shape, blink_rate(mine), temperament,
                clip.info.id,
            )
        )  # fmt: skip
    return examples, spread


def shape_space(examples: Sequence[UpperExample], n_shape: int) -> tuple[Array, Array]:
    """Return mean (1434,) and basis (n_shape, 1434) of people's neutral faces; missing directions are 0.

    Both are 0 with fewer than ``MIN_PEOPLE`` people. The net would otherwise recognise each of them by their shape, and
    move the heads of other people too widely (``open`` weights, four people: mean distance to real people 1.69 with
    shapes, .92 without).
    """
    people: dict[str, list[Array]] = {}
    for example in examples:
        people.setdefault(example.person, []).append(example.shape)
    faces = np.stack([np.mean(shapes, axis=0) for shapes in people.values()])
    mean = faces.mean(0)
    _, singular, directions = np.linalg.svd(faces - mean, full_matrices=False)
    basis = np.zeros((n_shape, faces.shape[1]), np.float32)
    if len(faces) < MIN_PEOPLE:
        return mean.astype(np.float32), basis
    for i in range(min(n_shape, len(faces) - 1)):
        basis[i] = directions[i] / max(singular[i] / np.sqrt(len(faces)), 1e-6)
    return mean.astype(np.float32), basis


def temper_space(examples: Sequence[UpperExample]) -> tuple[Array, Array]:
    """Return mean (7,) and root (7, 7) of the temperaments of people; the main speaker counts as one of them."""
    people: dict[str, list[Array]] = {}
    for example in examples:
        people.setdefault(example.person, []).append(example.temperament)
    return distribution(people)


class UpperBatches:
    """Random stretches, which depend on seed and step alone; half of them are mirrored left to right.

    A person is drawn with a probability that grows with the square root of their minutes.

    Raises:
        DataError: no example is as long as a stretch.
    """

    def __init__(self, examples: Sequence[UpperExample], size: int, length: int, seed: int, main_share: float) -> None:
        self.examples = [example for example in examples if len(example.tracks) >= length]
        if not self.examples:
            raise DataError(f"no clip has {length} frames ({length / FPS:.0f} s): prepare longer ones")
        self.size, self.length, self.seed = size, length, seed
        lengths = np.array([min(len(example.tracks), LONGEST) - 0.7 * length for example in self.examples])
        total: dict[str, float] = {}
        for example, frames in zip(self.examples, lengths, strict=True):
            total[example.person] = total.get(example.person, 0.0) + float(frames)
        weight = lengths / np.sqrt([total[example.person] for example in self.examples])
        is_main = np.array([example.person == MAIN_PERSON for example in self.examples])
        if is_main.any() and not is_main.all():
            weight[is_main] *= main_share * weight[~is_main].sum() / ((1 - main_share) * weight[is_main].sum())
        self.probability = weight / weight.sum()

    def names(self, step: int) -> list[str]:
        """Return the names (B,) of the batch's clips."""
        rng = np.random.default_rng((self.seed, step))
        return [self.examples[which].clip for which in rng.choice(len(self.examples), self.size, p=self.probability)]

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return latents (B, C, L), tracks (B, 11, L), shapes (B, 478, 3), blink rates (B,) and temperaments (B, 7)."""
        rng = np.random.default_rng((self.seed, step))
        latents, tracks, shapes, rates, temperaments = [], [], [], [], []
        for which in rng.choice(len(self.examples), self.size, p=self.probability):
            example = self.examples[which]
            start = int(rng.integers(0, len(example.tracks) - self.length + 1))
            part = example.tracks[start : start + self.length].copy()
            if rng.random() < 0.5:
                part[:, MIRRORED] *= -1
            latents.append(example.latents[start : start + self.length].T)
            tracks.append(part.T)
            shapes.append(example.shape.reshape(-1, 3))
            rates.append(example.blink_rate)
            temperaments.append(example.temperament)
        numbers = torch.tensor(rates, dtype=torch.float32)
        return _stack(latents), _stack(tracks), _stack(shapes), numbers, _stack(temperaments)


def _stack(parts: list[Array]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(parts), np.float32))
