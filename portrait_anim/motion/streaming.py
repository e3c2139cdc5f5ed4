"""Motion from live sound: pieces of sound in, frames of motion out, with 120 ms of look-ahead.

The mouth comes from the ears (:mod:`portrait_anim.audio.ears`), trained to give the same latents as the nets for whole
recordings, and from the mouth's own generator. Lids, brows, gaze and head come from the same generator as for
recordings. It needs 2.2 s of latents after a frame, so these follow the voice 2.2 s later than the mouth does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portrait_anim.audio.ears import Ears, Hearing
from portrait_anim.audio.speech import SpeechConfig, frame_count, frame_rms
from portrait_anim.audio.vad import GateConfig
from portrait_anim.config import FPS, SAMPLES_PER_FRAME, WINDOW_LENGTH
from portrait_anim.motion.blinks import RestBlinks
from portrait_anim.motion.breath import breathing
from portrait_anim.motion.ends import ends_at_rest
from portrait_anim.motion.noise import NoiseStream
from portrait_anim.motion.space import Motion
from portrait_anim.motion.upper import (
    HEAD_REACH,
    UpperGenerator,
    closure,
    limited,
    pacer_of,
    tracks_of,
)

Array = npt.NDArray[np.float32]

LEVEL_S = 10.0  # s over which the running level is taken
HOP = 1  # frames made at a time
AT_ONCE = 16  # windows that are heard in one go
SURE = 1e-6  # probabilities of a voice are kept this far from 0 and 1


class RunningLevel:
    """Brings live sound to the level that the encoders were trained at, by the loud frames of the last 10 s."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        self.config = config or SpeechConfig()
        self._rms: list[float] = []

    def __call__(self, frame: Array) -> Array:
        """Return the next video frame's samples (640,), scaled."""
        floor = 10 ** (self.config.floor_dbfs / 20)
        rms = frame_rms(torch.from_numpy(frame), WINDOW_LENGTH).numpy()
        self._rms = (self._rms + [float(value) for value in rms if value > floor])[-round(LEVEL_S * FPS) :]
        wanted = 10 ** (self.config.level_dbfs / 20)
        level = float(np.quantile(self._rms, 0.95)) if self._rms else wanted
        return np.asarray(frame * (wanted / level), np.float32)


class LiveGate:
    """The voice gate for live sound: :func:`portrait_anim.audio.vad.voice_gate` without looking ahead.

    Args:
        config: where the gate opens; the same as for whole recordings.
    """

    def __init__(self, config: GateConfig | None = None) -> None:
        self.config = config = config or GateConfig()
        # of the last frames: level in dBFS; how far open the gate would be without being held open
        self._dbfs: deque[float] = deque(maxlen=max(1, round(config.level_s * FPS / 2)))
        self._wanted: deque[float] = deque(maxlen=1 + round(config.hold_s * FPS))
        self._level = 0.0

    def __call__(self, voice: float, rms: float) -> float:
        """Return how far the gate is open, 0..1, at the next frame.

        Args:
            voice: probability 0..1 that somebody speaks or sings.
            rms: of the frame's samples as recorded.
        """
        config = self.config
        voice = min(max(voice, SURE), 1 - SURE)
        odds = np.log(voice / (1 - voice))
        self._dbfs.append(float(20 * np.log10(max(rms, 1e-8))))
        spoken = 1 / (1 + np.exp((config.threshold - odds) / config.softness))
        loud = (max(self._dbfs) - config.silent_dbfs) / (config.heard_dbfs - config.silent_dbfs)
        self._wanted.append(float(spoken * np.clip(loud, 0, 1)))
        wanted = max(self._wanted)
        rise, fall = 1 / (config.attack_s * FPS), 1 / (config.release_s * FPS)
        self._level = min(wanted, self._level + rise) if wanted > self._level else max(wanted, self._level - fall)
        return self._level


class Mouth(Protocol):
    """A net that turns latents into mouth coefficients: :class:`portrait_anim.motion.model.MouthNet`."""

    scale: Tensor

    def mouth(self, latents: Tensor) -> Tensor:
        """Latents (B, C, T) -> coefficients (B, K, T) in IOD."""


@dataclass(frozen=True)
class LiveNets:
    """The nets for live sound.

    Attributes:
        hearing: sound to features, in windows.
        ears: features to latents and to whether there is a voice.
        net: latents to the mouth, see :meth:`Mouth.mouth`.
    """

    hearing: Hearing
    ears: Ears
    net: Mouth

    @property
    def ahead(self) -> int:
        """How many frames of sound after a frame must have come before it can be made."""
        return self.ears.config.ahead


class LiveMouth:
    """Sound in pieces -> mouth coefficients and latents in pieces.

    Args:
        nets: all on the CPU.
        hop: frames made at a time; what comes out does not depend on it, nor on the size of the pieces.
        gate: where the voice gate opens.
    """

    def __init__(self, nets: LiveNets, hop: int = HOP, gate: GateConfig | None = None) -> None:
        self.nets, self.hop = nets, hop
        self._level, self._gate = RunningLevel(), LiveGate(gate)
        self._raw = np.zeros(0, np.float32)  # not yet a whole frame
        before = nets.ears.config.window - nets.ears.config.ahead - 1  # frames of a window before the one it is for
        self._first = -before  # number of the first frame in _sound
        # whole frames at level: what the next window begins with, and all after it; silence before the sound
        self._sound = np.zeros(before * SAMPLES_PER_FRAME, np.float32)
        self._rms: list[float] = []  # of the frames not done
        self._done = 0  # number of frames made so far

    def push(self, waveform: Array, *, last: bool = False) -> tuple[Array, Array]:
        """Take a piece of sound and return the frames that no later sound can change.

        Args:
            waveform: (N,) at 16 kHz, -1..1, any length.
            last: no more will come.

        Returns:
            mouth (T, K) IOD and latents (T, C), T from 0 on.
        """
        self._take(waveform, last)
        known = self._first + len(self._sound) // SAMPLES_PER_FRAME
        ready = known if last else known - self.nets.ahead
        count = max(0, ready - self._done)
        if not last:
            count -= count % self.hop
        if not count:
            width = self.nets.ears.config.encoder.width
            return np.zeros((0, len(self.nets.net.scale)), np.float32), np.zeros((0, width), np.float32)
        ahead = self.nets.ears.config.ahead
        sound = np.pad(self._sound, (0, ahead * SAMPLES_PER_FRAME)) if last else self._sound
        windows = np.lib.stride_tricks.sliding_window_view(sound, self.nets.ears.config.n_samples)
        windows = windows[::SAMPLES_PER_FRAME][:count]  # (count, N): the one of the first frame not done is the first
        heard, voices = [], []
        with torch.no_grad():
            for start in range(0, count, AT_ONCE):
                part = torch.from_numpy(windows[start : start + AT_ONCE].copy())
                latents, odds = self.nets.ears(self.nets.hearing(part))
                heard.append(latents[..., -1 - ahead].T)  # (C, n)
                voices.append(odds[:, -1 - ahead])
            together = torch.cat(heard, 1)
            mouth = self.nets.net.mouth(together[None])[0].T.numpy()
        voice = torch.cat(voices).sigmoid().tolist()
        gate = [self._gate(v, r) for v, r in zip(voice, self._rms[:count], strict=True)]
        self._rms = self._rms[count:]
        self._done += count
        self._sound = self._sound[count * SAMPLES_PER_FRAME :]
        self._first += count
        return np.asarray(mouth * np.array(gate)[:, None], np.float32), together.T.numpy()

    def _take(self, waveform: Array, last: bool) -> None:
        raw = np.concatenate([self._raw, np.asarray(waveform, np.float32)])
        if last:  # the end is trimmed or filled with silence, as of a whole recording
            known = self._first + len(self._sound) // SAMPLES_PER_FRAME
            wanted = (frame_count(known * SAMPLES_PER_FRAME + len(raw)) - known) * SAMPLES_PER_FRAME
            raw = np.pad(raw, (0, max(0, wanted - len(raw))))[:wanted]
        n_frames = len(raw) // SAMPLES_PER_FRAME
        frames = raw[: n_frames * SAMPLES_PER_FRAME].reshape(n_frames, SAMPLES_PER_FRAME)
        self._raw = raw[n_frames * SAMPLES_PER_FRAME :]
        self._rms += [float(frame.std()) for frame in frames]
        self._sound = np.concatenate([self._sound, *(self._level(frame) for frame in frames)])


class LiveUpper:
    """Output of :class:`LiveMouth`, in pieces -> one face's :class:`Motion`, in pieces, at 25 fps.

    Args:
        upper: the generator of lids, brows, gaze and head.
        shape: (478, 3) IOD, the photo's face; None is the average face.
        seed: of blinks, gaze and head.
        head_motion: 0 to 2.
        blinks: 0 to 3, times the natural rate.
    """

    def __init__(
        self, upper: UpperGenerator, *, shape: npt.NDArray[np.floating] | None = None, seed: int = 0,
        head_motion: float = 1.0, blinks: float = 1.0,
    ) -> None:  # fmt: skip
        self._upper, self._shape = upper, shape
        self._head_motion, self._blinks = head_motion, blinks
        self._seed, self._noise = seed, NoiseStream(seed)
        self._temperament = upper.temperament(seed, shape)
        self._pacer = pacer_of(blinks, seed)  # it shows lids 1.2 s later
        self._rests = RestBlinks(blinks, seed) if blinks else None
        self._reach = upper.reach + HEAD_REACH
        self._latents = np.zeros((2 * self._reach, upper.config.latent_width), np.float32)
        self._heard_noise = self._noise.take(2 * self._reach)
        self._n_frames = 0

    def push(self, mouth: Array, latents: Array) -> Motion:
        """Take what :meth:`LiveMouth.push` returned, mouth (T, K) and latents (T, C); return T frames, perhaps none."""
        n = len(mouth)
        if not n:
            return Motion.rest(0, mouth.shape[1])
        self._latents = np.concatenate([self._latents, latents])[-(2 * self._reach + n) :]
        self._heard_noise = torch.cat([self._heard_noise, self._noise.take(n)], 2)[..., -(2 * self._reach + n) :]
        made = tracks_of(self._upper, self._latents, self._heard_noise, self._shape, self._blinks, self._temperament)
        made = made[self._reach : self._reach + n]
        rest = ends_at_rest(np.arange(self._n_frames, self._n_frames + n), None)
        lid = closure(made)
        if self._pacer is not None:
            lid = self._pacer.push(lid)
        if self._rests is not None:
            lid = self._rests.push(lid)
        breath = breathing(np.arange(self._n_frames, self._n_frames + n), self._seed, self._head_motion)
        upper_part = limited(made, lid, breath, rest, self._head_motion, self._blinks)
        self._n_frames += n
        return Motion(mouth=mouth, **vars(upper_part))


class LiveMotion:
    """Sound in pieces -> the :class:`Motion` of one face in pieces; several faces share a :class:`LiveMouth` instead.

    Args:
        mouth: a new one for every sound.
        face: a new one for every sound.
    """

    def __init__(self, mouth: LiveMouth, face: LiveUpper) -> None:
        self._mouth, self._face = mouth, face

    def push(self, waveform: Array, *, last: bool = False) -> Motion:
        """Take a piece of sound (N,) at 16 kHz; return the frames that can be made by now, perhaps none."""
        return self._face.push(*self._mouth.push(waveform, last=last))
