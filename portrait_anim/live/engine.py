"""The engine of a live face: sentences are fed, frames and sound come out in step, at 25 frames/s.

Time goes in ticks of 40 ms. Every tick gives one frame and as much sound: speech where there is some, else silence.
Speech is heard ahead of its turn as far as it is there already (a text that is spoken by a program comes faster than it
is played), so that it waits for nothing; of a microphone, each frame comes when the sound that its mouth depends on has
come.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.drivers.stream import LIVE_NETS
from portrait_anim.drivers.voice import VoiceNets
from portrait_anim.errors import OptionError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.live.camera import Camera
from portrait_anim.live.frame import LiveFrame, LiveNumbers
from portrait_anim.live.hearing import Listener, Spoken
from portrait_anim.live.lead import Lead
from portrait_anim.live.manner import Manner
from portrait_anim.motion.space import Motion
from portrait_anim.motion.streaming import LiveMouth
from portrait_anim.options import MotionOptions, PhotoOptions
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.choose import shown_photo
from portrait_anim.stages import gazes, marked_frame, scene_of, targets_of
from portrait_anim.system.facts import Facts
from portrait_anim.system.weights import digests

Array = npt.NDArray[np.float32]

HOP = 1  # frames of speech that are heard at a time
CLOSING = (0.45, 0.12, 0.0)  # share of the mouth's opening in the frames after speech: shut within 120 ms
OPENING = (0.5, 1.0)  # the same in the first frames of speech
AT_ONCE = 4  # frames of the upper face that are made at a time; it follows the voice by so many frames more
QUIET_S = 3.0  # of silence, to learn what the nets make of it
REMEMBERED = 250  # frames over which the numbers are taken


class LiveFace:
    """A photo that speaks what it is fed, and is alive in between. Safe to feed from other threads.

    Args:
        photo: as in :func:`portrait_anim.animate`.
        sample_rate: Hz of the sound that comes out.
        emotion: to begin with, as of :meth:`set_emotion`.
        gaze: ``"camera"`` or ``"photo"``.
        head_motion: 0 to 2.
        blinks: 0 to 3.
        seed: of blinks, gaze, head and nods.
        choices: of :class:`PhotoOptions`: face (one), max_size, weights, landmarker, background, aspect,
            fill. With background ``"none"`` pixels are (H, W, 4).

    Attributes:
        size: (width, height) of the frames in px.
        sample_rate: as given.
        space: of the frames' motion.
        provenance: the marks of what it makes, for whoever keeps it as a film.
        camera: what drives the face from the first :meth:`see` on.

    Raises:
        PortraitAnimError: the photo cannot be used, or an option is out of range.
    """

    def __init__(
        self, photo: Any, *, sample_rate: int = 24_000, emotion: str | None = None, gaze: str = "camera",
        head_motion: float = 1.0, blinks: float = 1.0, seed: int = 0, **choices: Any,
    ) -> None:  # fmt: skip
        seen = PhotoOptions(**choices)
        options = MotionOptions(None, head_motion, blinks, seed, gaze=gaze)
        if seen.changes:
            raise OptionError("a live face is one face: leave morph out")
        finder = shared_landmarker(seen.landmarker)
        shown, faces = shown_photo(photo, finder, seen)
        if len(faces) != 1:
            raise OptionError(f"a live face is one face, and {len(faces)} move: name one (face=N)")
        self._scene = scene_of(shown, faces, finder, seen)
        (target,) = targets_of(faces, self._scene)
        nets = VoiceNets(seen.weights, "cpu")
        self.space, model = nets.space, nets.model
        mouth = model.live_mouth(HOP)
        self._speech = Listener(mouth, sample_rate)
        self.size, self.sample_rate = shown.size, self._speech.queue.sample_rate
        self._quiet = _quiet(LiveMouth(mouth.nets, HOP))
        self._upper = model.live_face(shape=target.shape, seed=seed, head_motion=head_motion, blinks=blinks)
        (self._gaze,) = gazes(self._scene, options)
        self._options = options
        self._manner = Manner(target.smile, seed)
        self._lead = Lead()
        heard = Facts(((np.zeros(0, np.float32), SAMPLE_RATE),), digests(*LIVE_NETS, nets.name, "action_units"))
        self.provenance = Provenance.of(self._scene.facts, heard, options)
        self._marker = self.provenance.marker(self._scene.still, FPS)
        self._lock = threading.Lock()
        self._latents: list[Array] = []  # not yet given to the upper face
        self._made: deque[Motion] = deque()  # of the next frames
        self._last = np.zeros(self.space.n_components, np.float32)  # the mouth in the last frame of speech
        self._spoken = self._silent = 0  # frames since speech began, since it ended
        self._user = self._thinks = False
        self.camera = Camera(shared_landmarker(), target.shape, self.space.n_components, head_motion, blinks)
        self._ticks = self._dropped = 0
        self._said = self._turn = 0  # frames of speech that were played; how often it was interrupted
        self._delays: deque[float] = deque(maxlen=REMEMBERED)
        self._drawing: deque[float] = deque(maxlen=REMEMBERED)
        self.set_emotion(emotion)

    def feed(self, samples: Any, sample_rate: int = SAMPLE_RATE) -> None:
        """Take more speech, in pieces of any length.

        Args:
            samples: (N,), (N, C) or (C, N): floats with full scale 1, or integers such as int16.
            sample_rate: Hz.

        Raises:
            AudioError: NaN, infinite samples, no sound, or an impossible rate.
        """
        self._speech.queue.feed(samples, sample_rate)
        with self._lock:
            self._speech.more()
            self._thinks = False

    def end_of_speech(self) -> None:
        """Say that the sentence is whole: its end is played without waiting for more."""
        self._speech.queue.finish()
        with self._lock:
            self._speech.end()

    def interrupt(self) -> None:
        """Drop all speech that was not played; the mouth closes within 120 ms."""
        self._speech.queue.clear()
        with self._lock:
            self._speech.drop()
            self._turn += 1

    def user_started(self) -> None:
        """Say that the user speaks: the face listens."""
        with self._lock:
            self._user, self._thinks = True, False
            self._manner.no_nod()

    def user_stopped(self) -> None:
        """Say that the user pauses: the face nods, unless it speaks at once."""
        with self._lock:
            if self._user:
                self._manner.user_paused()
            self._user = False

    def think(self) -> None:
        """Look aside until there is something to say."""
        with self._lock:
            self._thinks = True

    def follow(self, motion: Motion | None) -> None:
        """Move as ``motion`` (T = 1) does, from the next frame on; None: by itself again. It goes over within .4 s."""
        with self._lock:
            self._lead.follow(motion)

    def set_emotion(self, emotion: str | None) -> None:
        """Go over to an emotion within .6 s: a name, with a strength as ``"happy:0.7"``; None: neutral.

        Raises:
            OptionError: no such emotion, or one with times.
        """
        with self._lock:
            self._manner.feel(emotion)

    def set_gaze(self, gaze: str) -> None:
        """Look into the camera (``"camera"``) or as in the photo (``"photo"``).

        Raises:
            OptionError: neither, or the irises were not found.
        """
        options = replace(self._options, gaze=gaze)
        (looks,) = gazes(self._scene, options)
        with self._lock:
            self._gaze = looks

    def see(self, picture: Any, time_s: float | None = None) -> None:
        """Take a camera's picture: the face in it drives the photo from now on, and sound is only passed on.

        Args:
            picture: (H, W, 3) uint8 RGB, see :class:`portrait_anim.live.camera.Camera`.
            time_s: when it was taken, on the monotonic clock; None: now.

        Raises:
            VideoError: it is no such array.
        """
        self.camera.see(picture, time.monotonic() if time_s is None else time_s)

    @property
    def speech_end(self) -> int:
        """:attr:`LiveFrame.said` of the frame that plays the end of what was fed so far."""
        with self._lock:
            return self._said + len(self._speech)

    @property
    def turn(self) -> int:
        """How often it was interrupted; a frame with an older number shows speech that was dropped since."""
        return self._turn

    @property
    def numbers(self) -> LiveNumbers:
        """How it is doing."""
        delays = list(self._delays)
        return LiveNumbers(
            self._speech.n_waiting / FPS, float(np.percentile(delays, 95)) if delays else 0.0,
            float(np.mean(self._drawing)) if self._drawing else 0.0, self._dropped, self._ticks,
        )  # fmt: skip

    def step(self, *, draw: bool = True) -> LiveFrame:
        """Go on by 40 ms; ``draw``: False leaves the picture out, where there is no time for it."""
        with self._lock:
            seen = self.camera.how
            spoken = self._speech.next() if seen is None else None
            piece = spoken.piece if spoken is not None else None if seen is None else self._speech.queue.take()
            state = "driven" if seen == "driven" else self._state(spoken is not None)
            mouth, latents = self._formed(spoken)
            motion = self.camera.over(replace(self._above(latents), mouth=mouth[None]))
            motion = self._gaze.led(motion, whole=False)
            rotation, gaze, felt = self._manner.next(state)
            self._said += spoken is not None
            motion = self._lead.led(motion)
            said, turn = self._said, self._turn
        motion = replace(
            motion, rotation=motion.rotation + rotation, gaze=motion.gaze + gaze,
            expression=felt[None] if felt.any() else motion.expression,
        )  # fmt: skip
        samples = np.zeros(self.sample_rate // FPS, np.float32) if piece is None else piece.played
        pixels = None
        if draw:
            start = time.monotonic()
            pixels = marked_frame(
                [self.space.state(motion, 0)], self._scene, self._marker, self._ticks, FPS
            ).pixels  # fmt: skip
            self._drawing.append(time.monotonic() - start)
        else:
            self._dropped += 1
        if spoken is not None or seen == "driven":
            self._delays.append(time.monotonic() - (self.camera.seen_s if spoken is None else spoken.piece.fed_s))
        self._ticks += 1
        return LiveFrame(pixels, samples, (self._ticks - 1) / FPS, state, motion, said, turn)

    def _above(self, latents: Array) -> Motion:
        """Return lids, brows, gaze and head of the next frame; they are made for several frames at a time."""
        self._latents.append(latents)
        if not self._made:
            many = np.stack(self._latents if len(self._latents) == AT_ONCE else [latents] * AT_ONCE)
            made = self._upper.push(np.zeros((AT_ONCE, self.space.n_components), np.float32), many)
            tracks: dict[str, Any] = made.tracks()
            self._made.extend(
                Motion(**{name: track[i : i + 1] for name, track in tracks.items()}) for i in range(AT_ONCE)
            )
            self._latents.clear()
        return self._made.popleft()

    def _state(self, speaks: bool) -> str:
        if speaks:
            self._manner.no_nod()
            return "speaking"
        return "listening" if self._user else "thinking" if self._thinks else "idle"

    def _formed(self, spoken: Spoken | None) -> tuple[Array, Array]:
        """Return the mouth (K,) and the latents (C,) of the next frame."""
        if spoken is None:
            share = CLOSING[min(self._silent, len(CLOSING) - 1)]
            self._silent, self._spoken = self._silent + 1, 0
            return self._last * np.float32(share), self._quiet
        share = OPENING[min(self._spoken, len(OPENING) - 1)]
        self._spoken, self._silent = self._spoken + 1, 0
        self._last = spoken.mouth * np.float32(share)
        return self._last, spoken.latents


def _quiet(mouth: LiveMouth) -> Array:
    """Return (C,) the latents of silence."""
    _, latents = mouth.push(np.zeros(round(QUIET_S * SAMPLE_RATE), np.float32))
    return np.asarray(latents[-1], np.float32)
