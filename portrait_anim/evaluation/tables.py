"""The tables of mouth motion: model, ground truth, shuffled audio, loudness alone and a static face, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from portrait_anim.audio.speech import frame_rms
from portrait_anim.audio.vad import VoiceDetector, voice_gate
from portrait_anim.config import FEATURES_PER_FRAME, FPS, SAMPLES_PER_FRAME
from portrait_anim.motion.metrics import (
    amplitude,
    best_offset,
    closures,
    correlation,
    jitter,
    leak,
    opening_p95,
)  # fmt: skip
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.motion.streaming import LiveMouth, LiveNets
from portrait_anim.training.data.clips import MAIN_PERSON, at_times
from portrait_anim.training.data.copies import VAL_KINDS, Copy
from portrait_anim.training.data.layouts import ClipInfo
from portrait_anim.training.data.prepare import Clip

Curve = npt.NDArray[np.floating]
Tensors = dict[str, npt.NDArray[np.generic]]

LIVE = "model, live"  # live sound, with 200 ms of look-ahead
ROWS = ("ground truth", "model", LIVE, "shuffled audio", "loudness only", "static photo")
COLUMNS = ("r", "r_best", "r_width", "amplitude", "closures", "offset_ok", "jitter")
REST_COLUMNS = ("p95", "leak", "p95_ungated")
BILABIAL_PEAK = 0.5


@dataclass(frozen=True)
class Row:
    """One clip under one condition; ``values`` by :data:`COLUMNS`, of a sound without a voice :data:`REST_COLUMNS`."""

    group: str
    person: str
    language: str
    condition: str
    values: tuple[float, ...]


@dataclass
class _Case:
    """A clip or a copy, with the motion of the real face."""

    group: str
    person: str
    language: str
    tensors: Tensors
    real: npt.NDArray[np.float32]  # (T, K)
    offset: int | None  # by how many frames the picture is later than the sound, where that is known
    tolerance: int


def gated_mouth(
    net: MouthNet, voice: VoiceDetector | None, tensors: Tensors
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the mouth (T, K) as the pipeline makes it, through the voice gate (None: no gate), and without it."""
    features = torch.from_numpy(tensors["features"].astype(np.float32))[None]
    with torch.no_grad():
        plain = net(features)[0].T.cpu().numpy()
        odds = None if voice is None else voice(features)[0]
    if odds is None:
        return plain, plain
    sound = torch.from_numpy(tensors["waveform"].astype(np.float32) / 32767)[: len(plain) * SAMPLES_PER_FRAME]
    gate = voice_gate(sound, odds).numpy()[: len(plain), None]
    return plain * gate, plain


def _measure(case: _Case, space: MotionSpace, made: Curve, made_width: Curve) -> tuple[float, ...]:
    """Return :data:`COLUMNS` for aperture and width curves (T,)."""
    real, real_width = space.aperture(case.real), space.width(case.real)
    if float(np.ptp(made)) < 1e-6:
        return (0.0, 0.0, 0.0, 0.0, float("nan"), float("nan"), 0.0)
    r_best, lag = best_offset(made, real)
    spoken = case.tensors["bilabial"].astype(np.float32) > BILABIAL_PEAK
    peaks = np.asarray(spoken.reshape(-1, FEATURES_PER_FRAME).max(1), bool)
    right = float("nan") if case.offset is None else float(abs(lag - case.offset) <= case.tolerance)
    return (
        correlation(made, real), r_best, correlation(made_width, real_width), amplitude(made, real),
        closures(made, peaks), right, jitter(made, real),
    )  # fmt: skip


def loudness(tensors: Tensors, n_frames: int) -> Curve:
    """Return the level (``n_frames``,) of a clip's sound, 0 after its end."""
    sound = torch.from_numpy(tensors["waveform"].astype(np.float32) / 32767)
    rms = frame_rms(sound, SAMPLES_PER_FRAME).numpy()
    return np.pad(rms, (0, max(0, n_frames - len(rms))))[:n_frames]


def _group(info: ClipInfo) -> str:
    """Return the table that a clip is measured in; clips of av_multi/web2 came later and have one of their own."""
    if info.person == MAIN_PERSON:
        return "grid_s1 val"
    return "av_multi val people, web2" if "web2" in Path(info.path).parts else "av_multi val people"


def _cases(space: MotionSpace, clips: Sequence[Clip], copies: Sequence[Copy]) -> list[_Case]:
    cases, by_id = [], {clip.info.id: clip for clip in clips}
    motion = {name: space.encode(clip.tensors["displacement"].astype(np.float32)) for name, clip in by_id.items()}
    for clip in clips:
        info, grid = clip.info, clip.info.person == MAIN_PERSON
        cases.append(_Case(
            _group(info), info.person, info.language, clip.tensors, motion[info.id], info.lag_frames, 0 if grid else 1
        ))  # fmt: skip
    for copy in copies:
        if copy.info.kind not in VAL_KINDS or copy.info.clip not in by_id:
            continue
        info = by_id[copy.info.clip].info
        group = f"{_group(info)}, {copy.info.kind}"
        lag = info.lag_frames or 0
        at = np.clip(copy.tensors["source"].astype(np.float64) + lag, 0, len(motion[info.id]) - 1)
        cases.append(_Case(group, info.person, info.language, copy.tensors, at_times(motion[info.id], at), 0, 1))
    return cases


def live_mouth(nets: LiveNets, tensors: Tensors, n_frames: int) -> npt.NDArray[np.float32]:
    """Return the mouth (n_frames, K) made while the sound comes, in pieces of a second."""
    sound = np.asarray(tensors["waveform"], np.float32)[: n_frames * SAMPLES_PER_FRAME] / np.float32(32767)
    mouth = LiveMouth(nets, hop=FPS).push(sound, last=True)[0]
    return np.pad(mouth, ((0, max(0, n_frames - len(mouth))), (0, 0)))[:n_frames]


def evaluate_clips(
    net: MouthNet, space: MotionSpace, clips: Sequence[Clip], copies: Sequence[Copy] = (), *,
    voice: VoiceDetector | None = None, live: LiveNets | None = None,
) -> list[Row]:  # fmt: skip
    """Measure the net on held-out clips and their copies, each row beside its baselines; ``live`` on the clips.

    Curves of clips are compared without a shift (``r``) and shifted by the clip's best offset (``r_best``). An offset
    is right when it differs from the index's by at most one frame (for GRID it must be 0). For copies the known offset
    is removed first.
    """
    cases = _cases(space, clips, copies)
    made = [gated_mouth(net, voice, case.tensors)[0] for case in cases]
    rows = []
    for i, case in enumerate(cases):
        same = [k for k in range(len(cases)) if k != i and cases[k].group == case.group]
        other = made[same[i % len(same)]] if same else made[i][::-1]
        other = np.resize(other, made[i].shape)
        loud = loudness(case.tensors, len(made[i]))
        still = np.zeros(len(made[i]))
        curves = {
            "ground truth": (space.aperture(case.real), space.width(case.real)),
            "model": (space.aperture(made[i]), space.width(made[i])),
            "shuffled audio": (space.aperture(other), space.width(other)),
            "loudness only": (loud, loud),
            "static photo": (still, still),
        }
        if live is not None and i < len(clips):
            mouth = live_mouth(live, case.tensors, len(made[i]))
            curves[LIVE] = (space.aperture(mouth), space.width(mouth))
        for condition, (opening, width) in curves.items():
            values = _measure(case, space, opening, width)
            if condition == "ground truth":
                values = (*values[:5], 1.0, values[6])
            elif condition == "loudness only":  # no mouth, so it has no amplitude
                values = (*values[:3], float("nan"), *values[4:6], float("nan"))
            rows.append(Row(case.group, case.person, case.language, condition, values))
    return rows + rest_rows(net, voice, space, copies)


def rest_rows(net: MouthNet, voice: VoiceDetector | None, space: MotionSpace, copies: Sequence[Copy]) -> list[Row]:
    """Measure how far the mouth opens at sounds without a voice: :data:`REST_COLUMNS`, a row each."""
    rows = []
    for copy in copies:
        if copy.info.clip or copy.info.split != "val":
            continue
        gated, plain = gated_mouth(net, voice, copy.tensors)
        opening = space.aperture(gated)
        values = (opening_p95(opening), leak(space.aspect(gated)), opening_p95(space.aperture(plain)))
        group = "chords" if copy.info.kind == "music" and not copy.info.music else copy.info.kind
        rows.append(Row(f"{group} alone", copy.info.id, "", "model", values))
    return rows


def mean_of(rows: Sequence[Row]) -> tuple[float, ...]:
    """Mean of each column over rows, NaN left out."""
    data = np.array([row.values for row in rows], float)
    known = np.isfinite(data)
    sums = np.where(known, data, 0).sum(0)
    return tuple(float(s / k) if k else float("nan") for s, k in zip(sums, known.sum(0), strict=True))


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    return COLUMNS if len(rows[0].values) == len(COLUMNS) else REST_COLUMNS


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Return the model's figures, named by group and column, for the registry."""
    out = {}
    for group in sorted({row.group for row in rows}):
        for condition, before in (("model", ""), (LIVE, "live ")):
            mine = [row for row in rows if row.group == group and row.condition == condition]
            named = zip(_columns(mine), mean_of(mine), strict=True) if mine else ()
            out.update({f"{group} {before}{name}": round(value, 3) for name, value in named if np.isfinite(value)})
    return out


def format_table(rows: Sequence[Row], by_person: bool = True) -> str:
    """Return the tables as Markdown, one a group, the model's people below."""
    lines = []
    for group in sorted({row.group for row in rows}):
        mine = [row for row in rows if row.group == group]
        columns = _columns(mine)
        count = len([row for row in mine if row.condition == "model"])
        noun = "clip" if columns is COLUMNS else "sound"
        lines += [f"{group} ({count} {noun}s)", "", _line("", columns), "|---" * (len(columns) + 1) + "|"]
        for condition in ROWS:
            part = [row for row in mine if row.condition == condition]
            if part:
                lines.append(_line(condition, [_cell(value) for value in mean_of(part)]))
        people = sorted({(row.person, row.language) for row in mine})
        if by_person and columns is COLUMNS and len(people) > 1:
            for person, language in people:
                part = [r for r in mine if (r.person, r.language) == (person, language) and r.condition == "model"]
                lines.append(_line(f"model, {person} ({language})", [_cell(value) for value in mean_of(part)]))
        lines.append("")
    return "\n".join(lines)


def _line(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | " + " | ".join(cells) + " |"


def _cell(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""
