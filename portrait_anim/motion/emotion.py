"""Emotions over time, as sums of action units (single visible movements of a face, see docs/glossary.md).

An emotion rises and falls smoothly, its strength varies slowly, both sides of the face differ a little, and lips that
speech has closed stay closed.

The sums are those of EMFACS (Friesen and Ekman 1983, "EMFACS-7: Emotional Facial Action Coding System"): happy 6+12,
sad 1+4+15, angry 4+5+7+23, surprised 1+2+5+26, fearful 1+2+4+5+7+20, disgusted 9+10+17. A few weak units are added
where a warped photo needs them; fear does without AU7, which would hide how wide its eyes are.
The weights are those at which nearly every photo shows the emotion clearly (docs/emotion.md).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import OptionError
from portrait_anim.face.mesh import MOUTH_CORNERS
from portrait_anim.motion.action_units import JAW, TRACKS, UNITS
from portrait_anim.motion.space import INNER_LIPS
from portrait_anim.options import AUTO, EmotionTimeline

Array = npt.NDArray[np.float32]

WEIGHTS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"AU6": 0.9, "AU12": 1.05},
    "sad": {"AU1": 1.2, "AU4": 0.25, "AU15": 1.0, "AU17": 0.3, "AU41": 0.4},
    "angry": {"AU4": 1.2, "AU5": 0.55, "AU7": 0.8, "AU9": 0.3, "AU23": 0.9},
    "surprised": {"AU1": 0.8, "AU2": 0.9, "AU5": 1.0, "AU26": 0.9},
    "fearful": {"AU1": 1.4, "AU2": 0.6, "AU4": 0.5, "AU5": 1.25, "AU15": 0.4, "AU20": 1.05, "AU26": 0.7},
    "disgusted": {"AU4": 0.3, "AU6": 0.4, "AU7": 0.5, "AU9": 1.3, "AU10": 1.2, "AU17": 0.35},
}
"""Activation of each unit at strength 1."""
AROUSED = {"AU1": 0.35, "AU2": 0.35, "AU5": 0.25, "AU6": 0.25, "AU12": 0.30}
"""Activations of ``auto`` for a very aroused voice: an alert face with a slight smile.

Loudness and pitch tell how aroused a voice is, but not whether the feeling is pleasant: no particular emotion is shown.
"""

SMILE_OFF = {"AU6": -0.7, "AU12": -1.15}
"""Activations that undo a photo's own full smile, added while an emotion without a smile is shown."""
SMILING = ("neutral", "happy", AUTO)

ONSET_S, OFFSET_S = 0.45, 0.65  # time in which an emotion rises, and in which it falls
MAX_LAG_S = 0.10  # units of one emotion start up to this much later than the first
FULL_S = ONSET_S + MAX_LAG_S  # after which an emotion is fully there
MAX_ASYMMETRY = 0.10  # share of a unit's activation by which a side differs from the mean of both, at most
BREATH = 0.10  # standard deviation of the slow variation of the strength, as a share of it
BREATH_HZ = (0.08, 0.45)  # lowest and highest frequency of that variation
SPEAKING_IOD = 0.02  # lips that open further than this within a third of a second count as speaking
JAW_WITH_SPEECH = 0.5  # share of an emotion's jaw drop that stays while the mouth speaks, at most
CLOSED_IOD = 0.01  # opening by speech up to which the lips count as closed: none of the jaw drop stays
OPEN_IOD = 0.03  # further opening at which half of that share stays


def emotion_activations(label: str, strength: float = 1.0, smile: float = 0.0) -> Array:
    """Return (A,) activations of one emotion held still, both sides alike.

    Args:
        label: one of :data:`WEIGHTS`, or ``"auto"`` at full arousal.
        strength: 0 to 1.5.
        smile: how much the photo itself smiles, 0..1, see :func:`photo_smile`.
    """
    units = AROUSED if label == AUTO else WEIGHTS[label]
    off = 0.0 if label in SMILING else smile * min(strength, 1.0)
    level = [strength * units.get(unit, 0.0) + off * SMILE_OFF.get(unit, 0.0) for unit in UNITS]
    return np.repeat(np.array(level), 2).astype(np.float32)


def photo_smile(shape: npt.NDArray[np.floating]) -> float:
    """Return how much a face smiles, 0 (not) to 1 (broadly).

    A linear estimate of MediaPipe's smile score from two lengths: how high the mouth's corners lie above the line
    between the lips, and how wide the mouth is. Fitted on the faces of training/action_units.py (correlation .84).
    Small values count as 0, since neutral mouths differ between people.

    Args:
        shape: (478, 3) normalised face, IOD.
    """
    left, right = (shape[i] for i in MOUTH_CORNERS)
    height = (left[1] + right[1]) / 2 - shape[list(INNER_LIPS), 1].mean()
    score = 4.30 * height + 1.70 * (right[0] - left[0]) - 0.88
    return float(np.clip((score - 0.15) / 0.45, 0, 1))


def activations(
    timeline: EmotionTimeline,
    n_frames: int,
    fps: float,
    seed: int = 0,
    waveform: npt.NDArray[np.float32] | None = None,
    smile: float = 0.0,
) -> Array:
    """Return the activations of a whole film.

    Args:
        timeline: which emotions are shown at which times.
        n_frames: T.
        fps: frames/s; frame i shows the middle of [i / fps, (i + 1) / fps].
        seed: of the asymmetry, the lags between units and the slow variation.
        waveform: (N,) at 16 kHz; needed where the timeline says ``auto``.
        smile: of the photo, 0..1; emotions without a smile undo it.

    Returns:
        (T, A) in the order of :data:`TRACKS`; rises from 0 at the start of each part, falls after its end.

    Raises:
        OptionError: ``auto`` without a waveform.
    """
    if timeline.needs_voice and waveform is None:
        raise OptionError("emotion 'auto' follows a voice: give a sound, or name an emotion")
    rng = np.random.default_rng([seed, 5])
    time = (np.arange(n_frames) + 0.5) / fps
    lag = rng.uniform(0, MAX_LAG_S, len(UNITS))
    total = np.zeros((n_frames, len(UNITS)))
    arousal = voice_arousal(waveform, time) if waveform is not None and timeline.needs_voice else np.ones(n_frames)
    for part in timeline.segments:
        level = emotion_activations(part.label, part.strength, smile)[::2]  # (U,)
        shown = _ease((time[:, None] - part.start_s - lag) / ONSET_S)  # (T, U)
        if math.isfinite(part.end_s):
            shown = shown * (1 - _ease((time[:, None] - part.end_s - lag) / OFFSET_S))
        total += level * shown * (arousal[:, None] if part.label == AUTO else 1.0)
    breath = 0.7 * _slow_noise(time, 1, rng) + 0.7 * _slow_noise(time, len(UNITS), rng)
    total *= 1 + BREATH * np.clip(breath, -1.5, 1.0)
    lean = np.clip(0.5 * rng.standard_normal() + 0.5 * rng.standard_normal(len(UNITS)), -1, 1) * MAX_ASYMMETRY
    both = np.stack([total * (1 + lean), total * (1 - lean)], axis=-1)  # (T, U, 2)
    return both.reshape(n_frames, len(TRACKS)).astype(np.float32)


def keep_closures(track: npt.NDArray[np.floating], aperture: npt.NDArray[np.floating], fps: float) -> Array:
    """Reduce an emotion's jaw drop while the mouth speaks, to nothing where speech closes the lips.

    The jaw drop is the only action unit that parts the lips; all others move both lips alike
    (:func:`action_units.sealed`). While nobody speaks it opens the mouth in full.

    Args:
        track: (T, A) activations.
        aperture: (T,) IOD, the opening of the lips by speech alone.
        fps: frames/s.
    """
    near = maximum_filter1d(np.asarray(aperture, np.float64), 2 * round(0.35 * fps) + 1, mode="nearest")
    speaking = gaussian_filter1d(_ease((near - SPEAKING_IOD) / SPEAKING_IOD), 0.08 * fps, mode="nearest")
    open_by = np.clip(aperture - CLOSED_IOD, 0, None)
    opened = open_by / (open_by + OPEN_IOD)
    out = np.array(track, np.float32)
    jaw = [2 * UNITS.index(JAW), 2 * UNITS.index(JAW) + 1]
    out[:, jaw] *= (1 - speaking * (1 - JAW_WITH_SPEECH * opened))[:, None]
    return out


def voice_arousal(waveform: npt.NDArray[np.float32], time: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how aroused (excited) a voice sounds at the given times (s), 0..1.

    It sounds aroused where it is louder and higher than usual: loudness and pitch, each averaged over about a second,
    are compared with the clip's own medians. So a loud recording or a high voice does not count as excited. A voice
    that never changes gives about .35.
    """
    import librosa

    hop = SAMPLE_RATE // 50
    frame = 1024
    if len(waveform) < frame:
        return np.full(len(time), 0.0)
    rms = librosa.feature.rms(y=waveform, frame_length=frame, hop_length=hop)[0]
    level = 20 * np.log10(np.maximum(rms, 1e-5))
    voiced = (level > np.percentile(level, 95) - 25) & (level > -60)
    if voiced.sum() < 25:
        return np.full(len(time), 0.0)
    pitch = 12 * np.log2(librosa.yin(waveform, fmin=70, fmax=600, sr=SAMPLE_RATE, frame_length=frame, hop_length=hop))
    n = min(len(level), len(pitch))
    level, pitch, voiced = level[:n], pitch[:n], voiced[:n]
    score = np.full(n, -0.6)
    for values, unit in ((level, 6.0), (pitch, 4.0)):  # dB, semitones that make a clear difference
        weight = gaussian_filter1d(voiced.astype(np.float64), 40) + 1e-3
        smooth = gaussian_filter1d(np.where(voiced, values - np.median(values[voiced]), 0.0), 40) / weight
        score += np.clip(smooth / unit, -2, 2)
    heard = gaussian_filter1d(voiced.astype(np.float64), 30)
    arousal = np.clip(heard * 1.5, 0, 1) / (1 + np.exp(-2 * score))
    return np.asarray(np.interp(time, (np.arange(n) + 0.5) * hop / SAMPLE_RATE, arousal), np.float64)


def _ease(x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return a smooth step from 0 (x <= 0) to 1 (x >= 1), the one with the least jerk."""
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2), np.float64)


def _slow_noise(time: npt.NDArray[np.floating], width: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return (T, width) sums of slow sines, unit variance, the same at any frame rate and length."""
    hertz = rng.uniform(*BREATH_HZ, (4, width))
    phase = rng.uniform(0, 2 * np.pi, (4, width))
    return np.asarray(np.sqrt(2 / 4) * np.sin(2 * np.pi * hertz * time[:, None, None] + phase).sum(1), np.float64)
