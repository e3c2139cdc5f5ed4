"""The table of the upper face: how much lids, brows, gaze and head move, against real people not trained on.

There is no single right motion for a voice, so frames are not compared one by one. Each clip gives a few numbers
(blinks a second, spread and speed of the nod, ...). Two groups of clips are compared by the Wasserstein distance
between the distributions of each number, in standard deviations over the val people, averaged over the numbers. The
distance between two groups of real people shows how small it can be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.stats import wasserstein_distance

from portrait_anim.config import FPS
from portrait_anim.evaluation.tables import loudness
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.temperament import gains
from portrait_anim.motion.upper import LID, ROTATION, TRACKS, UpperGenerator, make_tracks
from portrait_anim.training.data.clips import MAIN_PERSON
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.upper.data import upper_examples
from portrait_anim.training.upper.tracks import BLINK

Array = npt.NDArray[np.floating]

REST_LID = 0.35  # closure below which lids count as open
SEEDS = 3  # films made of each clip
SHORTEST = 60  # frames
SHAKY = ("brow_inner", "nod", "turn", "tilt")


def clip_statistics(tracks: Array, loudness: Array) -> dict[str, float]:
    """Return the numbers of one clip.

    Args:
        tracks: (T, 11) in real units.
        loudness: (T,) of the voice.
    """
    n_frames = len(tracks)
    lid = tracks[:, LID]
    shut = np.concatenate([[0], (lid > BLINK).astype(int), [0]])
    starts, ends = (np.flatnonzero(np.diff(shut) == sign) for sign in (1, -1))
    begun = (starts > 0) & (ends < n_frames)  # those seen from beginning to end
    lengths = (ends - starts)[begun] / FPS
    out = {
        "blinks/s": (starts > 0).sum() / n_frames * FPS,
        "blink, s": lengths.mean() if len(lengths) else np.nan,
        "lid between blinks": lid[lid < REST_LID].std() if (lid < REST_LID).sum() > 5 else np.nan,
    }
    for i, name in enumerate(TRACKS[1:], 1):
        track = tracks[:, i]
        out[f"{name} spread"] = track.std()
        out[f"{name} speed"] = np.abs(np.diff(track)).mean() * FPS
        if name in SHAKY:
            out[f"{name} acceleration"] = np.abs(np.diff(track, 2)).mean() * FPS**2
    turning = gaussian_filter1d(np.abs(np.diff(tracks[:, ROTATION], axis=0)).sum(1), 2)
    out["loudness with head speed, r"] = correlation(gaussian_filter1d(loudness, 2)[1:], turning)
    stress = gaussian_filter1d(loudness, 3) - gaussian_filter1d(loudness, 18)
    for name in ("brow_inner", "nod"):
        track = tracks[:, TRACKS.index(name)]
        out[f"loudness with {name}, r"] = correlation(stress, track - gaussian_filter1d(track, 18))
    return {name: float(value) for name, value in out.items()}


def distances(real: Sequence[dict[str, float]], other: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return by number the Wasserstein distance of two groups of clips, in the real group's standard deviations."""
    out = {}
    for name in real[0]:
        a, b = (np.array([clip[name] for clip in group]) for group in (real, other))
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        if not len(a) or not len(b):
            out[name] = float("nan")
            continue
        spread = max(float(np.percentile(a, 84) - np.percentile(a, 16)) / 2, 1e-9)
        out[name] = float(wasserstein_distance(a, b)) / spread
    return out


def upper_groups(
    mouth: MouthNet, nets: dict[str, UpperGenerator], train: Sequence[Clip], held_out: Sequence[Clip]
) -> dict[str, list[dict[str, float]]]:
    """Return the numbers of each clip by group: real held-out people, real others, each net, a static photo.

    The main speaker, who reads with a still head, is left out of all groups. Without other people they are empty.
    """
    chosen = {
        name: [c for c in clips if c.info.person != MAIN_PERSON and len(c.tensors["displacement"]) >= SHORTEST]
        for name, clips in (("held-out people", held_out), ("other real people", train))
    }
    if not all(chosen.values()):
        return {}
    others, spread = upper_examples(mouth, chosen["other real people"])
    examples, _ = upper_examples(mouth, chosen["held-out people"], spread=spread)
    groups: dict[str, list[dict[str, float]]] = {}
    for name, real in (("held-out people", examples), ("other real people", others)):
        groups[name] = [
            clip_statistics(
                example.tracks * spread * gains(example.temperament, len(TRACKS)),
                loudness(clip.tensors, len(example.tracks)),
            )
            for example, clip in zip(real, chosen[name], strict=True)
        ]
    for name, net in nets.items():
        groups[name] = [
            clip_statistics(
                make_tracks(net, example.latents, shape=example.shape.reshape(-1, 3), seed=seed),
                loudness(clip.tensors, len(example.tracks)),
            )
            for example, clip in zip(examples, chosen["held-out people"], strict=True)
            for seed in range(SEEDS)
        ]
    groups["static photo"] = [
        clip_statistics(np.zeros_like(example.tracks), loudness(clip.tensors, len(example.tracks)))
        for example, clip in zip(examples, chosen["held-out people"], strict=True)
    ]
    return groups


def upper_summary(groups: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Return each group's mean distance to the first one, for the registry."""
    if not groups:
        return {}
    first, *others = groups
    apart = {name: np.nanmean(list(distances(groups[first], groups[name]).values())) for name in others}
    return {f"upper face, {name}, distance": round(float(value), 3) for name, value in apart.items()}


def format_upper(groups: dict[str, list[dict[str, float]]]) -> str:
    """Return the table as Markdown: medians, and in brackets the distance to the first group."""
    if not groups:
        return "lids, brows, gaze and head: no held-out people but the main speaker"
    names = list(groups)
    real = groups[names[0]]
    apart = {name: distances(real, groups[name]) for name in names[1:]}
    lines = [
        f"lids, brows, gaze and head ({len(real)} clips of held-out people)", "",
        f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|",
    ]  # fmt: skip
    for number in real[0]:
        cells = [f"{np.nanmedian([clip[number] for clip in real]):.3f}"]
        for name in names[1:]:
            values = np.array([clip[number] for clip in groups[name]])
            values = values[np.isfinite(values)]
            cells.append(f"{np.median(values):.3f} ({apart[name][number]:.2f})" if len(values) else "")
        lines.append(f"| {number} | {' | '.join(cells)} |")
    means = [f"{np.nanmean(list(apart[name].values())):.2f}" for name in names[1:]]
    return "\n".join([*lines, f"| **mean distance** | 0 | {' | '.join(means)} |", ""])
