"""Saved or recorded motion moves the faces; a sound, if there is one, is only played."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.load import load_sound
from portrait_anim.audio.sound import Sound, clock_time, engines
from portrait_anim.audio.waveform import longer
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.drivers.base import Target
from portrait_anim.drivers.voice import VoiceNets
from portrait_anim.errors import MotionError, OptionError
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit_shapes import SHAPES
from portrait_anim.motion.emotion import activations, keep_closures
from portrait_anim.motion.files import read_motion
from portrait_anim.motion.limits import limited_turn
from portrait_anim.motion.space import INNER_LIPS, Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system.easing import bent, eased
from portrait_anim.system.facts import Facts
from portrait_anim.system.files import printable
from portrait_anim.system.fingerprint import fingerprint
from portrait_anim.system.weights import digests

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]

SHOWN_GAZE_RAD, ROOM_GAZE_RAD = 0.16, 0.14  # up to which eyes turn as the motion says; beyond, no further than this
HELD_RAD = np.deg2rad(12.0)  # a head or gaze turned so far all through a recording was recorded from aside
RESTING = (
    "JawOpen",
    "MouthFunnel",
    "MouthLowerDownLeft",
    "MouthLowerDownRight",
    "MouthUpperUpLeft",
    "MouthUpperUpRight",
)
MAX_REST = 0.15  # of those and the lids' closure, what a recorded face reads while it rests; beyond, it is meant
TOLD_REST = 0.03
REST_QUANTILE = 0.02  # of a recording, what it hardly ever falls below
SHORT_TAKE_S = 2.0  # recordings that are shorter are played as they are
EASE_S = 0.4  # from the motion's end to the photo's own face, where the sound goes on
MIN_DURATION_S = 0.2  # of a motion without a sound


class CurvesDriver:
    """Motion from files or from memory.

    Args:
        motions: one for all faces, or one for each.
        sounds: what the film plays.
        nets: the weights whose space draws the motion; no net is loaded.
        sources: of the motions, files or arrays.

    Attributes:
        sounds: as given.
        duration_s: of the longest sound, or of the longest motion where there is no sound.
    """

    def __init__(
        self, motions: Sequence[Motion], sounds: Sequence[Sound], nets: VoiceNets, sources: Sequence[Any] = ()
    ) -> None:
        self.sounds, self._motions, self._nets, self._sources = sounds, motions, nets, tuple(sources)
        lasts_s = max(len(motion) / motion.fps for motion in motions)
        self._n_samples = max((len(sound.waveform) for sound in sounds), default=0)
        self.duration_s = self._n_samples / SAMPLE_RATE if sounds else lasts_s
        self._tell(lasts_s)

    @classmethod
    def load(cls, given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> CurvesDriver:
        """Load motions and sounds.

        Args:
            given: sounds, files or ``(samples, sample_rate)``; none: a silent film.
            n_faces: how many move.
            nets: the weights.
            options: have the motions and the longest duration.

        Raises:
            OptionError: motions for another number of faces, something that is none, ``blinks`` other than 0 and 1.
            MotionError: as of :func:`portrait_anim.motion.files.read_motion`, too short, or longer than is allowed.
            AudioError: as of :func:`portrait_anim.audio.load.load_sound`.
        """
        wanted = options.motions
        if len(wanted) not in (1, n_faces):
            faces = "1 face" if n_faces == 1 else f"{n_faces} faces"
            raise OptionError(f"{len(wanted)} motions for {faces}: give one for all or one for each")
        if options.blinks not in (0, 1):
            raise OptionError(f"blinks {options.blinks:g}: with a motion the blinks are its own, give 1, or 0 for none")
        if options.timeline.needs_voice and not given:
            raise OptionError("emotion 'auto' follows a voice: give a sound, or name an emotion")
        sounds = [load_sound(sound, options.max_duration) for sound in given]
        loaded = [_load(motion, nets, options.max_duration) for motion in wanted]
        if not sounds and all(len(motion) / motion.fps < MIN_DURATION_S for motion, _ in loaded):
            raise MotionError(f"the motion is shorter than {MIN_DURATION_S} s: give a longer one, or a sound")
        return cls([motion for motion, _ in loaded], sounds, nets, [source for _, source in loaded])

    def facts(self, options: MotionOptions) -> Facts:
        """Return sounds, motions and the weight files that draw them."""
        used = [self._nets.name]
        expressive = not options.timeline.neutral or any(motion.expression.any() for motion in self._motions)
        if expressive and self._nets.weights == "default":
            used.append("action_units")
        return Facts(
            tuple(sound.source for sound in self.sounds),
            {**digests(*used), **engines(self.sounds)},
            {"motion": self._sources},
        )

    def motion(self, target: Target, options: MotionOptions) -> Motion:
        """Return a face's motion at its own frame rate, as long as the film."""
        given = self._motions[target.number % len(self._motions)]
        n_frames = max(1, round(self.duration_s * given.fps))
        played = _shown(_lasting(given, n_frames), options)
        if options.timeline.neutral:
            return played
        space = self._nets.space
        opening = space.displacement_at(played, INNER_LIPS)  # (T, 2, 3)
        waveform = (
            longer(self.sounds[target.number % len(self.sounds)].waveform, self._n_samples) if self.sounds else None
        )
        felt = activations(
            options.timeline, n_frames, played.fps, options.seed + target.number, waveform, target.smile
        )  # fmt: skip
        felt = keep_closures(felt, opening[:, 0, 1] - opening[:, 1, 1], played.fps)
        width = max(felt.shape[1], played.expression.shape[1])
        total = np.zeros((n_frames, width), np.float32)
        total[:, : felt.shape[1]] = felt
        total[:, : played.expression.shape[1]] += played.expression
        return replace(played, expression=total)

    def _tell(self, lasts_s: float) -> None:
        apart_s = self.duration_s - lasts_s
        if apart_s > 1 / FPS + EASE_S:
            logger.info(
                "the motion ends after %s, the sound after %s: the face rests from there on",
                clock_time(lasts_s), clock_time(self.duration_s),
            )  # fmt: skip
        elif -apart_s > 1 / FPS + EASE_S:
            logger.info(
                "the sound ends after %s, the motion after %s: its rest is left out", clock_time(self.duration_s),
                clock_time(lasts_s),
            )  # fmt: skip


def _load(given: Any, nets: VoiceNets, limit_s: float) -> tuple[Motion, Any]:
    """Return a motion and its source.

    Raises:
        OptionError, MotionError: see :meth:`CurvesDriver.load`.
    """
    source: Any
    if isinstance(given, Motion):
        motion, name, source = given, "the motion", (*given.tracks().values(), np.float64(given.fps))
        if not len(given):
            raise MotionError("the motion has no frames: give a longer one")
    elif isinstance(given, (str, os.PathLike)):
        motion, source = read_motion(given, nets.space), fingerprint(given, MotionError, "motion")
        name = f"motion {printable(given)}"
        if Path(given).suffix.lower() == ".csv":
            motion = _rested(motion, name)
    else:
        raise OptionError(f"a {type(given).__name__} is no motion: give a file, a Motion, or a list of them")
    if (lasts_s := len(motion) / motion.fps) > limit_s:
        raise MotionError(
            f"{name} lasts {clock_time(lasts_s)}, longer than the allowed {clock_time(limit_s)}: cut it, or allow more "
            "with --max-duration (max_duration=seconds)"
        )
    return _faced(motion, name), source


def _rested(motion: Motion, name: str) -> Motion:
    """Return a recording whose lips meet and whose lids open where they rest.

    A phone's tracker reads a few percent of a jaw, of raised lips or of shut lids in a face that does nothing. What a
    recording never falls below is taken off (up to ``MAX_REST``), and the rest is stretched so that 1 stays 1.
    """
    if len(motion) < SHORT_TAKE_S * motion.fps:
        return motion
    columns = [len(TRACKS) + SHAPES.index(shape) for shape in RESTING]
    expression = motion.expression.copy()
    tracks = np.concatenate([expression[:, columns], motion.blink], axis=1)  # (T, 8)
    rest = np.minimum(np.quantile(tracks, REST_QUANTILE, axis=0), MAX_REST).astype(np.float32)
    if rest.max() > TOLD_REST:
        logger.info("%s: its lips or lids never rest, up to %.0f %% are taken off", name, 100 * rest.max())
    tracks = np.maximum(tracks - rest, 0) / (1 - rest)
    expression[:, columns] = tracks[:, : len(columns)]
    return replace(motion, expression=expression, blink=tracks[:, len(columns) :])


def _faced(motion: Motion, name: str) -> Motion:
    """Return a motion whose head and eyes are relative to the photo's: what is held all through is taken off."""
    moved: dict[str, Any] = {}
    parts = (("rotation", "head"),) if motion.turned_eyes else (("rotation", "head"), ("gaze", "eyes"))
    for part, what in parts:
        track: Array = getattr(motion, part)
        held = np.median(track, axis=0)
        if np.abs(held).max() > HELD_RAD:
            logger.info(
                "%s holds its %s %.0f degrees aside throughout: that is taken for the photo's own pose", name, what,
                np.rad2deg(np.abs(held).max()),
            )  # fmt: skip
            moved[part] = track - held
    return replace(motion, **moved) if moved else motion


def _shown(motion: Motion, options: MotionOptions) -> Motion:
    """Return a motion with head and blinks as the options want them, head and eyes within what a photo shows."""
    turned = motion.rotation * np.float32(options.head_motion)
    shown = limited_turn(turned)
    gaze = motion.gaze if motion.turned_eyes else bent(motion.gaze, SHOWN_GAZE_RAD, ROOM_GAZE_RAD).astype(np.float32)
    beyond = np.rad2deg(float(np.abs(turned).max()))
    if np.abs(shown - turned).max() > np.deg2rad(0.5):
        logger.info("the head turns by %.0f degrees: more than a photo shows, so it turns less far", beyond)
    shift = motion.shift * np.float32(options.head_motion)
    blink = motion.blink if options.blinks else np.zeros_like(motion.blink)
    return replace(motion, rotation=shown, gaze=gaze, shift=shift, blink=blink)


def _lasting(motion: Motion, n_frames: int) -> Motion:
    """Return a motion of so many frames: cut, or eased to the photo's own face and resting."""
    if n_frames <= len(motion):
        cut: dict[str, Any] = {name: track[:n_frames] for name, track in motion.tracks().items()}
        return replace(motion, **cut)
    n_more = n_frames - len(motion)
    ease = np.clip(np.arange(1, n_more + 1) / max(1.0, EASE_S * motion.fps), 0, 1)
    share = (1 - eased(ease)).astype(np.float32)
    tracks: dict[str, Any] = {
        name: np.concatenate([track, track[-1:] * share.reshape(-1, *[1] * (track.ndim - 1))])
        for name, track in motion.tracks().items()
    }
    return replace(motion, **tracks)
