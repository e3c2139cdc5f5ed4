"""The tables of liveliness: films of held-out people's voices beside the people themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from portrait_anim.audio.vad import VoiceDetector, voice_gate
from portrait_anim.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from portrait_anim.errors import DataError, PhotoError
from portrait_anim.evaluation.liveliness import (
    PUBLISHED,
    THEVAL,
    Film,
    Image,
    liveliness,
    means,
    mouth_curves,
    scores,
    theval,
    tracked,
)
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.upper import ROTATION, make_tracks
from portrait_anim.pipeline import Animator
from portrait_anim.training.data.clips import MAIN_PERSON
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.upper.data import latents_of
from portrait_anim.training.upper.tracks import upper_tracks
from portrait_anim.video.reader import read_frames

SECONDS, SHORTEST_S = 6.0, 3.0  # of a clip that are taken, at most and at least
SPOKEN = 0.5  # opening of the voice gate, 0..1, from which on somebody speaks
SEEDS = 16  # temperaments drawn for each voice
Speech = npt.NDArray[np.bool_]


def speech_of(voice: VoiceDetector, clip: Clip) -> Speech:
    """Return (T,) where the voice gate hears somebody speak in a prepared clip."""
    with torch.no_grad():
        features = torch.from_numpy(clip.tensors["features"].astype(np.float32))[None]
        odds = voice(features)[0]
    n_frames = len(clip.tensors["displacement"])
    sound = torch.from_numpy(_sound(clip, n_frames))
    return np.asarray(voice_gate(sound, odds).numpy()[:n_frames] > SPOKEN)


def _sound(clip: Clip, n_frames: int) -> npt.NDArray[np.float32]:
    samples = clip.tensors["waveform"][: n_frames * SAMPLES_PER_FRAME].astype(np.float32) / 32768
    return np.pad(samples, (0, n_frames * SAMPLES_PER_FRAME - len(samples)))


def longest_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Return the longest clip of each person but the main speaker, who reads with a still head."""
    best: dict[str, Clip] = {}
    for clip in clips:
        n_frames, person = len(clip.tensors["displacement"]), clip.info.person
        known = len(best[person].tensors["displacement"]) if person in best else SHORTEST_S * FPS - 1
        if person != MAIN_PERSON and n_frames > known:
            best[person] = clip
    return [best[person] for person in sorted(best)]


class _Subject:
    """A clip: the tracked film, its most closed frame as photo, its voice."""

    def __init__(self, clip: Clip, speech: Speech) -> None:
        self.speech = speech[: round(SECONDS * FPS)]
        self.sound = _sound(clip, len(self.speech))
        self._path = Path(clip.info.path)
        real = tracked(self._frames(), self.speech, self.sound)
        if real is None:
            raise DataError(f"{self._path}: the face is lost within a second")
        self.real: Film = real

    def _frames(self) -> Iterator[Image]:
        return read_frames(self._path, fps=FPS)

    def photo(self) -> Image:
        """Return the frame whose mouth is most closed."""
        opening, _ = mouth_curves(normalise_clip(self.real.landmarks)[0])
        return next(islice(self._frames(), int(np.argmin(opening)), None))


def lively_tables(
    model: MotionModel, weights: str, clips: Sequence[Clip], seeds: int, progress: Callable[[int, int], None]
) -> Iterator[str]:
    """Yield the lines of three Markdown tables: THEval's scores, how far and fast, and how much people differ.

    Args:
        model: the nets of ``weights``.
        weights: name of the set.
        clips: of people never trained on.
        seeds: films of each voice.
        progress: is told how many people are done, of how many.
    """
    chosen = longest_clips(clips)
    people: list[Film] = []
    made: dict[str, list[Film]] = {"**model**": [], "shuffled sound": [], "static photo": []}
    subjects = [_Subject(clip, speech_of(model.vad, clip)) for clip in chosen]
    for done, subject in enumerate(subjects, 1):
        try:
            animator = Animator(subject.photo(), weights=weights)
        except PhotoError:
            continue  # films refuse it, for example a face turned aside
        other = subjects[done % len(subjects)]
        films = [
            ("**model**", subject, animator.frames((subject.sound, SAMPLE_RATE), seed=seed)) for seed in range(seeds)
        ]
        films.append(("shuffled sound", other, animator.frames((other.sound, SAMPLE_RATE), seed=0)))
        people.append(subject.real)
        for name, heard, frames in films:
            film = tracked(frames, heard.speech, heard.sound)
            if film is not None:
                made[name].append(film)
        still = np.repeat(subject.real.landmarks[:1], len(subject.real.landmarks), axis=0)
        made["static photo"].append(replace(subject.real, landmarks=still))
        progress(done, len(subjects))
    yield from _theval_lines(people, made)
    yield from _number_lines(people, made)
    yield from _temperament_lines(model, chosen)


def _theval_lines(people: list[Film], made: dict[str, list[Film]]) -> Iterator[str]:
    wanted = means(people, theval)
    rows = {"real people, one half against the other": scores(means(people[::2], theval), means(people[1::2], theval))}
    rows |= {name: scores(means(films, theval), wanted) for name, films in made.items()}
    yield f"THEval's five scores ({len(people)} people never trained on)\n"
    yield f"| | {' | '.join(THEVAL)} | mean |"
    yield "|---" * (len(THEVAL) + 2) + "|"
    for name, row in rows.items():
        cells = [f"{row[column]:.2f}" for column in THEVAL]
        yield f"| {name} | {' | '.join(cells)} | {np.nanmean([row[column] for column in THEVAL]):.2f} |"
    yield f"\nPublished means, on THEval's own clips: {', '.join(f'{n} {v:.2f}' for n, v in PUBLISHED.items())}.\n"


def _number_lines(people: list[Film], made: dict[str, list[Film]]) -> Iterator[str]:
    columns = {"real people": people, "model": made["**model**"]}
    found = {name: means(films, liveliness) for name, films in columns.items()}
    yield f"| standard deviation, speed | {' | '.join(found)} |"
    yield "|---" * (len(found) + 1) + "|"
    for number in found["real people"]:
        yield f"| {number} | {' | '.join(f'{found[name][number]:.3f}' for name in found)} |"
    yield ""


def _temperament_lines(model: MotionModel, clips: Sequence[Clip]) -> Iterator[str]:
    """How much the head's standard deviation differs: between people, between the seeds of one voice."""
    real = np.stack([upper_tracks(clip)[:, ROTATION].std(0) for clip in clips])
    drawn = []
    for clip in clips:
        latents, shape = latents_of(model.net, clip), clip.tensors["neutral"].astype(np.float32)
        drawn.append(
            [make_tracks(model.upper, latents, shape=shape, seed=seed)[:, ROTATION].std(0) for seed in range(SEEDS)]
        )
    between = np.array(drawn)  # (clips, seeds, 3)
    yield "| standard deviation over its mean of the head's | nod | turn | tilt |\n|---|---|---|---|"
    for name, values in (
        ("between real people", real.std(0) / real.mean(0)),
        (f"between {SEEDS} seeds of one voice", (between.std(1) / between.mean(1)).mean(0)),
    ):
        yield f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |"
