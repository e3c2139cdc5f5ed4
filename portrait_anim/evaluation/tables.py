"""The table of mouth motion: model, ground truth, shuffled audio, loudness alone and a static face, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from portrait_anim.audio.speech import frame_rms
from portrait_anim.config import FEATURES_PER_FRAME, SAMPLES_PER_FRAME
from portrait_anim.evaluation.metrics import amplitude, best_offset, closures, correlation
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.prepare import Clip

Curve = npt.NDArray[np.floating]

ROWS = ("ground truth", "model", "shuffled audio", "loudness only", "static photo")
COLUMNS = ("r", "r_best", "r_width", "amplitude", "closures", "offset_ok")
BILABIAL_PEAK = 0.5


@dataclass(frozen=True)
class Row:
    """One clip under one condition; ``values`` by :data:`COLUMNS`."""

    group: str
    person: str
    language: str
    condition: str
    values: tuple[float, ...]


def _measure(
    made: Curve,
    real: Curve,
    widths: tuple[Curve, Curve],
    peaks: npt.NDArray[np.bool_],
    expected: int | None,
    tolerance: int,
) -> tuple[float, ...]:
    """Return :data:`COLUMNS` for one clip's aperture curves (T,)."""
    r_best, lag = best_offset(made, real)
    still = float(np.ptp(made)) < 1e-6
    return (
        correlation(made, real),
        0.0 if still else r_best,
        correlation(*widths),
        amplitude(made, real),
        float("nan") if still else closures(made, peaks),
        float("nan") if still or expected is None else float(abs(lag - expected) <= tolerance),
    )


def evaluate_clips(net: MouthNet, space: MotionSpace, clips: list[Clip]) -> list[Row]:
    """Measure the net on held-out clips, each row beside its baselines.

    Curves are compared as they stand in the clip (``r``) and at the clip's own best offset (``r_best``); the offset is
    right when it is the index's within one frame (GRID: exactly 0).
    """
    made, real, loud, peaks = [], [], [], []
    with torch.no_grad():
        for clip in clips:
            features = torch.from_numpy(clip.tensors["features"].astype(np.float32))[None]
            made.append(net(features)[0].T.numpy())
            real.append(space.encode(clip.tensors["displacement"].astype(np.float32)))
            n = len(real[-1])
            sound = torch.from_numpy(clip.tensors["waveform"].astype(np.float32) / 32767)
            rms = frame_rms(sound, SAMPLES_PER_FRAME).numpy()
            loud.append(np.pad(rms, (0, max(0, n - len(rms))))[:n])
            spoken = clip.tensors["bilabial"].astype(np.float32) > BILABIAL_PEAK
            peaks.append(np.asarray(spoken[: FEATURES_PER_FRAME * n].reshape(n, FEATURES_PER_FRAME).max(1), bool))
    rows = []
    for i, clip in enumerate(clips):
        info = clip.info
        grid = info.person == "grid_s1"
        group = "grid_s1 val" if grid else "av_multi val people"
        opening, width = space.aperture(real[i]), space.width(real[i])
        same = [k for k in range(len(clips)) if k != i and (clips[k].info.person == "grid_s1") == grid]
        other = made[same[i % len(same)]] if same else made[i][::-1]
        other = np.resize(other, made[i].shape)
        curves = {
            "ground truth": (opening, width),
            "model": (space.aperture(made[i]), space.width(made[i])),
            "shuffled audio": (space.aperture(other), space.width(other)),
            "loudness only": (loud[i], loud[i]),
            "static photo": (np.zeros_like(opening), np.zeros_like(opening)),
        }
        for condition, (curve, curve_width) in curves.items():
            expected = 0 if condition == "ground truth" else info.lag_frames
            values = _measure(curve, opening, (curve_width, width), peaks[i], expected, 0 if grid else 1)
            if condition == "loudness only":
                values = (*values[:3], float("nan"), *values[4:])
            rows.append(Row(group, info.person, info.language, condition, values))
    return rows


def mean_of(rows: list[Row]) -> tuple[float, ...]:
    """Mean of each column over rows, NaN left out."""
    data = np.array([row.values for row in rows], float)
    known = np.isfinite(data)
    sums = np.where(known, data, 0).sum(0)
    return tuple(float(s / k) if k else float("nan") for s, k in zip(sums, known.sum(0), strict=True))


def summary(rows: list[Row]) -> dict[str, float]:
    """Return the model's figures by ``group column``, for the registry."""
    out = {}
    for group in sorted({row.group for row in rows}):
        means = mean_of([row for row in rows if row.group == group and row.condition == "model"])
        out.update({f"{group} {name}": round(value, 3) for name, value in zip(COLUMNS, means, strict=True)})
    return out


def format_table(rows: list[Row], by_person: bool = True) -> str:
    """Return the table as Markdown, one block a group, the model's people below."""
    lines = []
    for group in sorted({row.group for row in rows}):
        mine = [row for row in rows if row.group == group]
        count = len([row for row in mine if row.condition == "model"])
        lines += [f"{group} ({count} clips)", "", "| | " + " | ".join(COLUMNS) + " |", "|---" * 7 + "|"]
        for condition in ROWS:
            means = mean_of([row for row in mine if row.condition == condition])
            lines.append(f"| {condition} | " + " | ".join(_cell(value) for value in means) + " |")
        people = sorted({(row.person, row.language) for row in mine})
        if by_person and len(people) > 1:
            for person, language in people:
                means = mean_of(
                    [row for row in mine if (row.person, row.language, row.condition) == (person, language, "model")]
                )
                lines.append(f"| model, {person} ({language}) | " + " | ".join(_cell(v) for v in means) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""
