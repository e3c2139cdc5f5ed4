"""From prepared clips to training batches: which clips may train which weights, the basis, examples, batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import eigh
from scipy.ndimage import map_coordinates
from torch import Tensor

from portrait_anim.config import FEATURES_PER_FRAME, N_LANDMARKS
from portrait_anim.errors import DataError
from portrait_anim.motion.space import INNER_LIPS, N_COMPONENTS, MotionSpace, lower_face_weight
from portrait_anim.training.data.copies import Copy
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.steps import check_finite

CLOSED_BELOW = 0.15  # share of the clip's range; frames with a smaller opening count as closed and get more weight
MAIN_PERSON = "grid_s1"  # one speaker with many sentences, which are split into train and val
# people of the train split on whom recipes are compared, so that the val people stay unseen until the end
DEV_PEOPLE = (
    "avcross_E4", "elo_T1", "hdtf_radio10", "lrs3_C8zY0oAdQrs", "may", "ng", "oppenheimer", "trump", "vox2_517600055",
    "vox2_00373", "vv_restaurant", "wth_Andy", "wth_Gretchen", "wth_Julia", "wth_Lonzo", "wth_man1",
)  # fmt: skip


@dataclass(frozen=True)
class Alignment:
    """Audio offset and amplitude of a clip, estimated by an earlier stage's net.

    Attributes:
        lag: by how many frames (with fraction) the picture is later than the sound.
        gain: the person's amplitude: size of the mouth's movements, 1 is the average.
    """

    lag: float
    gain: float = 1.0


@dataclass
class Example:
    """A clip as the net is trained on it; its sound offset is removed and its amplitude brought to the average."""

    name: str  # of the clip or copy
    person: str
    features: npt.NDArray[np.float16]  # (C, 2 T)
    mean: npt.NDArray[np.float32]  # (C, 1) of the whole clip
    mouth: npt.NDArray[np.float32]  # (T, K) IOD
    valid: npt.NDArray[np.float32]  # (T,) 0 or 1
    closed: npt.NDArray[np.float32]  # (T,) 1 where the lips are closed


def choose(clips: Sequence[Clip], weights: str, split: str) -> list[Clip]:
    """Return the clips of a split that may train (or, for ``val``, test) a set of weights.

    A person with any ``val`` clip is never trained on, whatever the index says of the person's other clips; the one
    exception is grid_s1, a single speaker whose sentences are split.
    """
    chosen = [clip for clip in clips if clip.info.split == split]
    if split == "train":
        held_out = {clip.info.person for clip in clips if clip.info.split == "val"} - {MAIN_PERSON}
        chosen = [clip for clip in chosen if clip.info.person not in held_out]
        chosen = [clip for clip in chosen if weights == "default" or clip.info.free]
    if not chosen:
        raise DataError(f"no {split} clips for weights {weights!r}: prepare more data")
    return chosen


def fit_space(clips: Sequence[Clip], seed: int = 0, per_person: int = 300, per_main: int = 3000) -> MotionSpace:
    """Fit the PCA basis of lower-face displacement, balanced over people (the main speaker counts ten times)."""
    rng = np.random.default_rng(seed)
    weight = lower_face_weight()[:, None]
    people: dict[str, list[npt.NDArray[np.generic]]] = {}
    for clip in clips:
        check_finite(clip.info.id, {"displacement": clip.tensors["displacement"]})
        people.setdefault(clip.info.person, []).append(clip.tensors["displacement"])
    rows = []
    for person, parts in sorted(people.items()):
        frames = np.concatenate(parts)
        count = min(len(frames), per_main if person == MAIN_PERSON else per_person)
        drawn = frames[rng.choice(len(frames), count, replace=False)].astype(np.float32)
        rows.append((drawn * weight).reshape(count, -1))
    data = np.concatenate(rows)  # (N, 1434)
    size = data.shape[1]
    _, vectors = eigh(data.T @ data / len(data), subset_by_index=[size - N_COMPONENTS, size - 1])
    basis = vectors[:, ::-1].T.reshape(N_COMPONENTS, N_LANDMARKS, 3)
    signs = np.sign(basis[:, INNER_LIPS[0], 1] - basis[:, INNER_LIPS[1], 1])  # + opens, so that runs agree
    return MotionSpace((basis * np.where(signs == 0, 1, signs)[:, None, None]).astype(np.float32))


def at_times(track: npt.NDArray[np.float32], frames: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Read a (T, K) track at fractional frames (M,) by cubic splines (linear would blur it); ends are held."""
    if np.array_equal(frames, np.round(frames)):
        return np.asarray(track[np.clip(frames.astype(int), 0, len(track) - 1)])
    columns = [map_coordinates(column.astype(np.float64), [frames], order=3, mode="nearest") for column in track.T]
    return np.asarray(np.stack(columns, axis=1), np.float32)


def closed_frames(opening: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return (T,) 1 where a mouth is closed, from its aperture (T,)."""
    low = opening.min()
    return np.asarray(opening - low < CLOSED_BELOW * (np.percentile(opening, 98) - low), np.float32)


def _example(
    name: str,
    clip: Clip,
    space: MotionSpace,
    fit: Alignment,
    at: npt.NDArray[np.floating],
    features: npt.NDArray[np.generic],
) -> Example:
    kept = features.astype(np.float16)
    check_finite(clip.info.id, {"displacement": clip.tensors["displacement"]})
    check_finite(name, {"features": kept, "times": at})
    mouth = space.encode(clip.tensors["displacement"].astype(np.float32))
    n_frames = len(mouth)
    inside = (at >= 0) & (at <= n_frames - 1)
    moved = at_times(mouth, np.clip(at, 0, n_frames - 1)) / np.float32(fit.gain)
    valid = clip.tensors["valid"].astype(np.float32)[np.clip(np.round(at).astype(int), 0, n_frames - 1)] * inside
    mean = features.astype(np.float32).mean(axis=1, keepdims=True)
    return Example(
        name, clip.info.person, kept, mean, moved, valid.astype(np.float32),
        closed_frames(space.aperture(moved)),
    )  # fmt: skip


def example_of(clip: Clip, space: MotionSpace, fit: Alignment | None = None) -> Example:
    """Make a training example of a clip; motion frame i then belongs to sound frame i.

    Args:
        clip: the clip.
        space: whose coefficients are the targets.
        fit: offset and amplitude to remove; None takes the offset the index gives.
    """
    fit = fit or Alignment(float(clip.info.lag_frames or 0))
    frames = np.arange(len(clip.tensors["displacement"]), dtype=np.float64)
    return _example(clip.info.id, clip, space, fit, frames + fit.lag, clip.tensors["features"])


def copy_example(copy: Copy, clip: Clip | None, space: MotionSpace, fit: Alignment | None = None) -> Example:
    """Make a training example of a copy: the clip's motion along the copy's time map, or a resting mouth."""
    if clip is None:
        n_frames = len(copy.tensors["source"])
        features = copy.tensors["features"].astype(np.float16)
        check_finite(copy.info.id, {"features": features})
        mean = features.astype(np.float32).mean(axis=1, keepdims=True)
        ones = np.ones(n_frames, np.float32)
        return Example(
            copy.info.id, "", features, mean, np.zeros((n_frames, space.n_components), np.float32), ones, ones
        )
    fit = fit or Alignment(float(clip.info.lag_frames or 0))
    at = copy.tensors["source"].astype(np.float64) + fit.lag
    return _example(copy.info.id, clip, space, fit, at, copy.tensors["features"])


class Batches:
    """Random stretches of examples. They depend on seed and step alone, so a resumed run gets the same ones.

    Args:
        examples: voices.
        rests: sounds without a voice; an epoch holds at most ``rest_share`` of them.
        size: stretches a batch.
        length: frames a stretch.
        seed: of order and jitter.
        rest_share: greatest share of a batch's stretches that are rests, on average.
    """

    def __init__(
        self, examples: Sequence[Example], rests: Sequence[Example], size: int, length: int, seed: int,
        rest_share: float = 0.1,
    ) -> None:  # fmt: skip
        self.examples = [*examples, *rests]
        self.size, self.length, self.seed = size, length, seed
        starts = [
            [(i, start) for start in range(0, max(1, len(example.mouth) - length // 2), length)]
            for i, example in enumerate(self.examples)
        ]
        self.voices = [stretch for part in starts[: len(examples)] for stretch in part]
        self.rests = [stretch for part in starts[len(examples) :] for stretch in part]
        self.n_rests = min(len(self.rests), round(len(self.voices) * rest_share / (1 - rest_share)))
        self.per_epoch = max(1, (len(self.voices) + self.n_rests) // size)

    def _drawn(self, step: int) -> list[tuple[int, int]]:
        """Return each row's example and the frame its stretch begins at, before the jitter."""
        epoch, k = divmod(step, self.per_epoch)
        shuffle = np.random.default_rng((self.seed, epoch))
        drawn = shuffle.permutation(len(self.rests))[: self.n_rests]
        pool = self.voices + [self.rests[i] for i in drawn]
        order = shuffle.permutation(len(pool))
        return [pool[which] for which in np.resize(order[k * self.size : (k + 1) * self.size], self.size)]

    def names(self, step: int) -> list[str]:
        """Return the names (B,) of the batch's clips and copies."""
        return [self.examples[i].name for i, _ in self._drawn(step)]

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features (B, C, 2 L), their clips' means removed, mouth (B, K, L), valid and closed (B, L)."""
        rng = np.random.default_rng((self.seed, step, 1))
        first = self.examples[0]
        length = self.length
        features = torch.zeros(self.size, len(first.features), FEATURES_PER_FRAME * length)
        mouth = torch.zeros(self.size, first.mouth.shape[1], length)
        valid, closed = torch.zeros(self.size, length), torch.zeros(self.size, length)
        for row, (i, start) in enumerate(self._drawn(step)):
            example = self.examples[i]
            jitter = int(rng.integers(-length // 2, length // 2 + 1))
            start = max(0, min(len(example.mouth) - length, start + jitter))
            n = min(length, len(example.mouth) - start)
            window = slice(FEATURES_PER_FRAME * start, FEATURES_PER_FRAME * (start + n))
            part = example.features[:, window].astype(np.float32) - example.mean
            features[row, :, : FEATURES_PER_FRAME * n] = torch.from_numpy(part)
            mouth[row, :, :n] = torch.from_numpy(example.mouth[start : start + n].T)
            valid[row, :n] = torch.from_numpy(example.valid[start : start + n])
            closed[row, :n] = torch.from_numpy(example.closed[start : start + n])
        return features, mouth, valid, closed
