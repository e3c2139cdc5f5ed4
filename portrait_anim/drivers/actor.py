"""A video moves the faces: an actor's lips, eyes, brows, head and expression."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from portrait_anim.audio.load import load_sound
from portrait_anim.audio.sound import Sound, clock_time, engines
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.drivers.base import Target
from portrait_anim.drivers.voice import VoiceNets
from portrait_anim.errors import OptionError, VideoError
from portrait_anim.face.actor_track import ChosenTrack, follow_chosen
from portrait_anim.face.blendshapes import WEIGHTS as BLENDSHAPES
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.types import Image
from portrait_anim.motion.emotion import activations, keep_closures
from portrait_anim.motion.performance import BRIDGED, NEUTRAL_SPREAD, Performance, analyse
from portrait_anim.motion.retarget import retargeted
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system import ffmpeg
from portrait_anim.system.facts import Facts
from portrait_anim.system.files import printable
from portrait_anim.system.fingerprint import Fingerprint, fingerprint
from portrait_anim.system.weights import digests
from portrait_anim.video.reader import read_frames

logger = logging.getLogger(__name__)

LARGEST_PX = 1280  # longer side of the frames that are looked at; the face net sees 256 px of a face
TOLD_CUTS = 5  # times of cuts that a note names


class ActorDriver:
    """Motion from a tracked video.

    Args:
        performance: what the actor does.
        source: the video's file.
        sounds: what the film plays.
        models: name -> SHA-256 of the nets that saw the actor.
        nets: whose motion space the film uses.

    Attributes:
        sounds: as given.
        duration_s: of the video's picture, or of the longest sound, whichever is longer.
    """

    def __init__(
        self, performance: Performance, source: Fingerprint, sounds: Sequence[Sound], models: dict[str, str],
        nets: VoiceNets,
    ) -> None:  # fmt: skip
        self.performance, self.sounds = performance, sounds
        self._source, self._models, self._nets = source, models, nets
        heard_s = max((len(sound.waveform) / SAMPLE_RATE for sound in sounds), default=0.0)
        self.duration_s = max(len(performance) / FPS, heard_s)

    @classmethod
    def load(cls, sounds: Sequence[Sound] | None, nets: VoiceNets, options: MotionOptions) -> ActorDriver:
        """Read and track the actor's video.

        Args:
            sounds: what the film plays; None: the video's own sound, if it has any.
            nets: whose motion space the film uses.
            options: name the video, the face in it and the neutral moment.

        Raises:
            VideoError: it cannot be read, is too short or longer than allowed.
            NoFaceError: it shows no face, or none of that number.
            OptionError: the neutral moment lies outside it, or shows no face.
            AudioError: its sound cannot be used.
        """
        assert options.actor is not None  # noqa: S101
        name = f"actor video {printable(options.actor)}"
        frames = _frames(options, name)
        source = fingerprint(options.actor, VideoError, "actor video")
        landmarker = shared_landmarker("facemesh")
        track = follow_chosen(frames, landmarker, options.actor_face, name)
        _tell(track, name, options)
        performance = analyse(track.landmarks, track.cuts, _neutral_frame(track, name, options))
        if sounds is None:
            sounds = [load_sound(options.actor, options.max_duration)] if _sounds(source) else []
        return cls(performance, source, sounds, landmarker.models(), nets)

    def facts(self, options: MotionOptions) -> Facts:
        """Return the sound's and the video's sources and the weight files that made motion of them."""
        models = {**self._models, **digests(self._nets.name), **engines(self.sounds)}
        if _holds(options):
            models |= digests(BLENDSHAPES)
        if self._nets.weights == "default":
            models |= digests("action_units")  # of held expressions and emotions
        return Facts(tuple(sound.source for sound in self.sounds), models, {"actor": (self._source,)})

    def motion(self, target: Target, options: MotionOptions, n_frames: int | None = None) -> Motion:
        """Return a face's motion, of another length than the driver's where ``n_frames`` is given."""
        space = self._nets.space
        n_frames = max(1, round(self.duration_s * FPS)) if n_frames is None else n_frames
        actor = self.performance.lasting(n_frames)
        units = space.expressions if _holds(options) else None
        motion = retargeted(
            actor, target.shape, units, space.n_components, head_motion=options.head_motion, blinks=options.blinks,
            seed=options.seed + target.number, trial=target.trial,
        )  # fmt: skip
        if options.timeline.neutral:
            return motion
        waveform = self.sounds[target.number % len(self.sounds)].waveform if self.sounds else None
        shown = activations(options.timeline, n_frames, FPS, options.seed + target.number, waveform, target.smile)
        return replace(motion, expression=motion.expression + keep_closures(shown, actor.opening, FPS))


def _holds(options: MotionOptions) -> bool:
    """Return whether an expression may be held: a moment that is named shows the face at rest, as it is."""
    return options.actor_neutral is None


def _frames(options: MotionOptions, name: str) -> Iterator[Image]:
    """Yield the video's frames at 25 fps; refuse too many."""
    assert options.actor is not None  # noqa: S101
    frames = read_frames(options.actor, FPS, LARGEST_PX)
    most = round(options.max_duration * FPS)

    def counted() -> Iterator[Image]:
        with closing(frames):
            for number, frame in enumerate(frames):
                if number >= most:
                    raise VideoError(
                        f"{name} is longer than the allowed {clock_time(options.max_duration)}: cut it, or allow more "
                        "with --max-duration (max_duration=seconds)"
                    )
                yield frame

    return counted()


def _sounds(video: Fingerprint) -> bool:
    return bool(ffmpeg.streams(ffmpeg.header(video.path), "Audio"))


def _neutral_frame(track: ChosenTrack, name: str, options: MotionOptions) -> int | None:
    if options.actor_neutral is None:
        return None
    frame, n_frames = int(options.actor_neutral * FPS), len(track.landmarks)
    if frame >= n_frames:
        raise OptionError(
            f"actor_neutral {options.actor_neutral:g} s lies beyond the end of {name}: it lasts "
            f"{clock_time(n_frames / FPS)}"
        )
    near = slice(max(0, frame - NEUTRAL_SPREAD), frame + NEUTRAL_SPREAD + 1)
    if not track.seen[near].any():
        raise OptionError(f"{name} shows no face at {options.actor_neutral:g} s (actor_neutral): name another moment")
    return frame


def _tell(track: ChosenTrack, name: str, options: MotionOptions) -> None:
    """Tell what was guessed, one line each."""
    if options.actor_face is None and track.n_faces > 1:
        logger.info(
            "%s shows %d faces at first, the largest one acts: --actor-face N (actor_face=N) takes another",
            name, track.n_faces,
        )  # fmt: skip
    lost = [(a, b) for a, b in track.gaps() if b - a > BRIDGED or a == 0 or b == len(track.landmarks)]
    if lost:
        first, total = clock_time(lost[0][0] / FPS), sum(b - a for a, b in lost) / FPS
        logger.info(
            "%s shows no face for %s in all, first at %s: the photo rests there", name, clock_time(total), first
        )
    if track.cuts:
        times = ", ".join(clock_time(cut / FPS) for cut in track.cuts[:TOLD_CUTS])
        more = " and more" if len(track.cuts) > TOLD_CUTS else ""
        logger.info("%s is cut at %s%s: head and gaze are eased over it", name, times, more)
