"""The table of the lip-reader: how many of GRID's words it gets wrong on real, generated and empty motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.vad import VoiceDetector
from portrait_anim.evaluation.lip_reader import SLOTS, Progress, ReaderConfig, cached_reader, sentence_of
from portrait_anim.evaluation.tables import gated_mouth, loudness
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.data.prepare import Clip

Array = npt.NDArray[np.float32]

GRID_PEOPLE = "grid_s"  # begins the names of GRID's speakers
CONDITIONS = ("ground truth", "model", "shuffled audio", "loudness only", "static photo")


@dataclass(frozen=True)
class Reading:
    """How well the lip-reader read the held-out clips under one condition.

    Attributes:
        condition: one of :data:`CONDITIONS`.
        wrong: (clips, 6) True where a word was read wrong.
    """

    condition: str
    wrong: npt.NDArray[np.bool_]

    @property
    def word_error(self) -> float:
        """Share of words read wrong; a sentence has six, none can be added or left out."""
        return float(self.wrong.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`word_error`, over clips."""
        clips = self.wrong.mean(1)
        return float(clips.std(ddof=1) / len(clips) ** 0.5) if len(clips) > 1 else float("nan")

    def to_dict(self) -> dict[str, object]:
        """Return the figures for JSON."""
        return {
            "condition": self.condition, "clips": len(self.wrong), "word_error": self.word_error,
            "standard_error": self.standard_error, **dict(zip(SLOTS, self.wrong.mean(0).tolist(), strict=True)),
        }  # fmt: skip


def grid_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips that are GRID sentences."""
    return [c for c in clips if c.info.person.startswith(GRID_PEOPLE) and sentence_of(c.info.id) is not None]


def loudness_mouth(space: MotionSpace, train: Sequence[Clip], held_out: Sequence[Clip]) -> list[Array]:
    """Return mouths (T, K) that follow loudness alone: a linear fit of each coefficient on the train clips."""
    real = [space.encode(clip.tensors["displacement"].astype(np.float32)) for clip in train]
    loud = np.concatenate([loudness(clip.tensors, len(mouth)) for clip, mouth in zip(train, real, strict=True)])
    known = np.stack([loud, np.ones_like(loud)], axis=1)  # (N, 2)
    line = np.linalg.lstsq(known, np.concatenate(real), rcond=None)[0]  # (2, K)
    out = []
    for clip in held_out:
        level = loudness(clip.tensors, len(clip.tensors["displacement"]))
        out.append((np.stack([level, np.ones_like(level)], axis=1) @ line).astype(np.float32))
    return out


def others(count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return for each of ``count`` clips another one, at random (clips next to each other share their first words)."""
    order = np.random.default_rng(seed).permutation(count)
    out = np.empty(count, np.int64)
    out[order] = np.roll(order, 1)
    return out


def read_clips(
    net: MouthNet,
    voice: VoiceDetector | None,
    space: MotionSpace,
    train: Sequence[Clip],
    held_out: Sequence[Clip],
    folder: Path,
    config: ReaderConfig | None = None,
    progress: Progress | None = None,
) -> list[Reading]:
    """Train a reader on real motion, or load it, and let it read the held-out clips under every condition.

    The generated mouths are those of films, through the voice gate, driven by the clips' own sound, by another clip's
    for ``shuffled audio``.

    Args:
        net: makes the mouths.
        voice: its gate; None for none.
        space: its basis.
        train: clips; those that are no GRID sentence are left out.
        held_out: likewise.
        folder: where readers are kept.
        config: the reader's recipe.
        progress: called after each of the reader's epochs.

    Returns:
        Nothing when one side has no GRID sentence.
    """
    train, held_out = grid_clips(train), grid_clips(held_out)
    if not train or not held_out:
        return []
    known = {clip.info.id: space.encode(clip.tensors["displacement"].astype(np.float32)) for clip in train}
    config = config or ReaderConfig(n_components=space.n_components)
    reader = cached_reader(folder, config, space, known, progress)
    made = [gated_mouth(net, voice, clip.tensors)[0] for clip in held_out]
    real = [space.encode(clip.tensors["displacement"].astype(np.float32)) for clip in held_out]
    mouths = {
        "ground truth": real,
        "model": made,
        "shuffled audio": [made[i] for i in others(len(made))],
        "loudness only": loudness_mouth(space, train, held_out),
        "static photo": [np.zeros_like(mouth) for mouth in real],
    }
    said = np.array([sentence_of(clip.info.id) for clip in held_out])
    return [Reading(condition, reader.read(mouths[condition]) != said) for condition in CONDITIONS]


def format_readings(readings: Sequence[Reading]) -> str:
    """Return the table as Markdown."""
    if not readings:
        return "lip-reader: no held-out GRID sentences, or none to learn from"
    lines = [
        f"words that a lip-reader gets wrong, GRID ({len(readings[0].wrong)} clips)", "",
        f"| | word error | ± | {' | '.join(SLOTS)} |", "|---" * (len(SLOTS) + 3) + "|",
    ]  # fmt: skip
    for reading in readings:
        figures = (reading.word_error, reading.standard_error, *reading.wrong.mean(0))
        lines.append(f"| {reading.condition} | " + " | ".join(f"{value:.3f}" for value in figures) + " |")
    return "\n".join([*lines, ""])
