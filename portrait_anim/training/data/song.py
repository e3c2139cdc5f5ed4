"""Converts speech to singing and to other voices, and mixes it with accompaniment.

The conversion re-synthesises the voice with WORLD (Morise, Yokomori, Ozawa 2016; package pyworld of the extra
``train``): a melody on a scale with glides and vibrato, vowels held 1.4 to 3 times as long, formants shifted, a
singer's formant. It returns the time map along which the face's motion is to be stretched.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import DependencyError

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

FRAME_MS = 5.0  # WORLD's frame
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))  # major, minor, pentatonic; semitones
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10))


@dataclass(frozen=True)
class Sung:
    """A converted recording.

    Attributes:
        waveform: (N,) at 16 kHz.
        source_s: (M,) time in the original, in seconds, of each of WORLD's frames of ``waveform`` (5 ms apart).
    """

    waveform: Array
    source_s: Float


def sing(waveform: Array, rng: np.random.Generator, hold: float = 0.0) -> Sung:
    """Turn speech (N,) at 16 kHz into song; a recording without a voiced frame is only stretched.

    Args:
        waveform: the speech.
        rng: of melody, lengths and voice.
        hold: chance of each long vowel to be held for one to four seconds.

    Raises:
        DependencyError: pyworld is not installed.
    """
    pyworld, f0, envelope, aperiodicity = _analysed(waveform)
    voiced = f0 > 0
    at = _stretched(voiced, envelope.sum(1), rng, hold)  # (M,) old frames
    nearest = np.clip(np.round(at).astype(int), 0, len(f0) - 1)
    sung_f0 = _melody(voiced[nearest], float(np.median(f0[voiced])) if voiced.any() else 150.0, rng)
    low = np.clip(np.floor(at).astype(int), 0, len(f0) - 1)
    high = np.minimum(low + 1, len(f0) - 1)
    part = (at - low)[:, None]
    logs = np.log(np.maximum(envelope, 1e-16))
    spectrum = np.exp(_shift_formants((1 - part) * logs[low] + part * logs[high], rng.uniform(0.9, 1.12)))
    hertz = np.linspace(0, SAMPLE_RATE / 2, spectrum.shape[1])
    boost_db = rng.uniform(0, 8) * np.exp(-0.5 * ((hertz - rng.uniform(2500, 3200)) / 450) ** 2)
    spectrum *= np.where(voiced[nearest, None], 10 ** (boost_db / 10), 1.0)
    out = pyworld.synthesize(
        sung_f0, np.ascontiguousarray(spectrum), np.ascontiguousarray(aperiodicity[nearest]), SAMPLE_RATE, FRAME_MS
    )
    peak = max(float(np.abs(out).max()), 1e-6)
    return Sung((out * min(1.0, 0.95 / peak)).astype(np.float32), at * FRAME_MS / 1000)


def revoice(waveform: Array, rng: np.random.Generator) -> Sung:
    """Turn speech (N,) at 16 kHz into another person's in another room.

    Pitch, vocal tract and speed are changed, then perhaps reverberation, a dull microphone and noise added.

    Raises:
        DependencyError: pyworld is not installed.
    """
    pyworld, f0, envelope, aperiodicity = _analysed(waveform)
    speed = rng.uniform(0.88, 1.14)
    at = np.arange(0, len(f0) - 1, speed)  # (M,) old frames
    nearest = np.round(at).astype(int)
    semitones = rng.uniform(-5, 5)
    logs = np.log(np.maximum(envelope[nearest], 1e-16))
    spectrum = np.exp(_shift_formants(logs, 2 ** (semitones / 36 + rng.uniform(-0.12, 0.12))))
    out = pyworld.synthesize(
        np.ascontiguousarray(f0[nearest] * 2 ** (semitones / 12)), np.ascontiguousarray(spectrum),
        np.ascontiguousarray(aperiodicity[nearest]), SAMPLE_RATE, FRAME_MS,
    )  # fmt: skip
    if rng.random() < 0.4:
        out = reverberate(out, rng, (0.1, 0.5), (0.1, 0.6))
    if rng.random() < 0.3:
        cutoff = rng.uniform(2500, 6000)
        out = sosfilt(butter(4, cutoff, fs=SAMPLE_RATE, output="sos"), out)
    if rng.random() < 0.5:
        hiss = noise(len(out), rng).astype(np.float64)
        level = float(out.std()) * 10 ** (-rng.uniform(8, 30) / 20)
        out = out + hiss * level / max(float(hiss.std()), 1e-9)
    out = out * 10 ** (rng.uniform(-12, 0) / 20)
    peak = max(float(np.abs(out).max()), 1e-6)
    return Sung((out * min(1.0, 0.95 / peak)).astype(np.float32), at * FRAME_MS / 1000)


def reverberate(
    waveform: npt.NDArray[np.floating], rng: np.random.Generator, seconds: tuple[float, float],
    amount: tuple[float, float],
) -> Float:  # fmt: skip
    """Add the reverberation of a room to a sound (N,): a tail of noise that decays by 60 dB.

    Args:
        waveform: (N,) at 16 kHz.
        rng: of the room.
        seconds: shortest and longest tail.
        amount: smallest and largest level of the tail beside the voice.
    """
    length = int(rng.uniform(*seconds) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= rng.uniform(*amount) / max(float(np.sqrt((tail**2).sum())), 1e-9)
    return np.asarray(waveform + fftconvolve(waveform, tail)[: len(waveform)], np.float64)


def _analysed(waveform: Array) -> tuple[Any, Float, Float, Float]:
    """Return pyworld and the f0 (M,), envelope and aperiodicity (M, bins)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pyworld 0.3.5 asks setuptools for its own version
            import pyworld  # type: ignore[import-untyped, unused-ignore]
    except ImportError as e:
        raise DependencyError('sung copies need pyworld: pip install "portrait-anim[train]"') from e
    sound = waveform.astype(np.float64)
    f0, times = pyworld.dio(sound, SAMPLE_RATE, frame_period=FRAME_MS)
    f0 = pyworld.stonemask(sound, f0, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(sound, f0, times, SAMPLE_RATE)  # (M0, bins)
    aperiodicity = pyworld.d4c(sound, f0, times, SAMPLE_RATE)
    return pyworld, f0, envelope, aperiodicity


def _stretched(voiced: npt.NDArray[np.bool_], power: Float, rng: np.random.Generator, hold: float) -> Float:
    """Return (M,) the old frame of each new one: loud voiced stretches are 1.4 to 3 times as long, some held."""
    factor = np.ones(len(voiced))
    loud = np.quantile(power[voiced], 0.35) if voiced.any() else np.inf
    vowel = voiced & (power > loud)
    edges = np.flatnonzero(np.diff(np.r_[False, vowel, False].astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start > 8:  # 40 ms
            factor[start:end] = rng.uniform(1.4, 3.0)
            if hold and rng.random() < hold:
                middle = start + (end - start) // 2
                factor[middle - 2 : middle + 2] = rng.uniform(1.0, 4.0) * 1000 / FRAME_MS / 4
    factor = gaussian_filter1d(factor, 3.0)
    new_time = np.cumsum(factor) - factor[0]  # of each old frame, in new frames
    return np.asarray(np.interp(np.arange(int(new_time[-1]) + 1), new_time, np.arange(len(voiced))))


def _melody(voiced: npt.NDArray[np.bool_], speaking_hz: float, rng: np.random.Generator) -> Float:
    """Return (M,) Hz, 0 where unvoiced: notes of a scale, from the speaking pitch up to an octave above."""
    scale = np.array(SCALES[rng.integers(len(SCALES))])
    notes = np.concatenate([scale, scale + 12])
    root = speaking_hz * 2 ** (rng.uniform(-2, 6) / 12)
    degree = int(rng.integers(len(scale)))
    semitones, since = np.zeros(len(voiced)), np.zeros(len(voiced))
    left = 0
    for i, now in enumerate(voiced):
        onset = now and (i == 0 or not voiced[i - 1])
        if left <= 0 or (onset and rng.random() < 0.7):
            degree = int(np.clip(degree + rng.integers(-3, 4), 0, len(notes) - 1))
            left = int(rng.uniform(0.25, 1.0) / FRAME_MS * 1000)
            since[i] = 0
        else:
            since[i] = since[i - 1] + 1 if i else 0
        semitones[i] = notes[degree]
        left -= 1
    semitones = gaussian_filter1d(semitones, rng.uniform(4, 12))  # glides of 20 to 60 ms
    seconds = np.arange(len(voiced)) * FRAME_MS / 1000
    depth = rng.uniform(0.15, 0.6) * np.clip((since * FRAME_MS / 1000 - 0.15) / 0.2, 0, 1)
    semitones += depth * np.sin(2 * np.pi * rng.uniform(5.0, 6.5) * seconds + rng.uniform(0, 6))
    return np.where(voiced, np.minimum(root * 2 ** (semitones / 12), 1100.0), 0.0)


def _shift_formants(logs: Float, factor: float) -> Float:
    """Stretch the frequency axis of (M, bins) log spectra by ``factor``."""
    bins = logs.shape[1]
    at = np.clip(np.arange(bins) / factor, 0, bins - 1)
    low = np.minimum(at.astype(int), bins - 2)
    part = at - low
    return np.asarray(logs[:, low] * (1 - part) + logs[:, low + 1] * part)


def chords(n_samples: int, rng: np.random.Generator) -> Array:
    """Return (N,) of synthetic accompaniment: broken or struck chords of decaying partials, a bass, a beat of noise."""
    out = np.zeros(n_samples + SAMPLE_RATE)
    beat = int(SAMPLE_RATE * rng.uniform(0.28, 0.6))
    root = 110 * 2 ** (rng.integers(0, 12) / 12)
    steps = np.array([0, 5, 7, 9, 2, 4])
    kind = CHORDS[rng.integers(len(CHORDS))]
    decay = rng.uniform(0.2, 1.2)
    partials = int(rng.integers(2, 9))
    broken, drums = rng.random() < 0.5, rng.random() < 0.6
    for number, start in enumerate(range(0, n_samples, beat)):
        if number % 4 == 0:
            step = int(rng.choice(steps))
        tones = [kind[number % len(kind)]] if broken else list(kind)
        tones.append(-12)
        length = min(beat * 2, len(out) - start)
        seconds = np.arange(length) / SAMPLE_RATE
        fade = np.exp(-seconds / decay) * np.minimum(1, seconds / 0.005)
        fade *= np.minimum(1, (length - np.arange(length)) / 400)
        for tone in tones:
            hertz = root * 2 ** ((step + tone) / 12)
            for k in range(1, partials + 1):
                if hertz * k < 7500:
                    phase = rng.uniform(0, 6)
                    out[start : start + length] += fade * np.sin(2 * np.pi * hertz * k * seconds + phase) / k
        if drums:
            hit = rng.standard_normal(length) * np.exp(-seconds / (0.03 if number % 2 else 0.08))
            out[start : start + length] += rng.uniform(0.3, 1.0) * hit
    out = out[:n_samples]
    return np.asarray(0.1 * out / max(float(out.std()), 1e-9), np.float32)


def noise(n_samples: int, rng: np.random.Generator) -> Array:
    """Return (N,) of noise between white and brown, sometimes with a hum, at a level of -60 to -15 dBFS."""
    pole = rng.uniform(0, 0.995)
    out = lfilter([1.0], [1.0, -pole], rng.standard_normal(n_samples))
    out = out / max(float(out.std()), 1e-9)
    if rng.random() < 0.3:
        seconds = np.arange(n_samples) / SAMPLE_RATE
        out += sum(np.sin(2 * np.pi * rng.choice([50, 60]) * k * seconds) / k for k in (1, 2, 3))
    return np.asarray(out * 10 ** (rng.uniform(-60, -15) / 20), np.float32)


def mix(voice: Array, music: Array, voice_to_music_db: float) -> Array:
    """Add music (M,), repeated or cut to length, to a voice (N,) whose loud parts are this many dB louder."""
    music = np.resize(music, len(voice))
    loud = np.abs(voice) > 0.1 * max(float(np.abs(voice).max()), 1e-9)
    voice_rms = float(np.sqrt((voice[loud] ** 2).mean())) if loud.any() else 0.0
    music_rms = max(float(np.sqrt((music**2).mean())), 1e-9)
    out = voice + music * (voice_rms / music_rms * 10 ** (-voice_to_music_db / 20))
    return np.asarray(out * min(1.0, 0.99 / max(float(np.abs(out).max()), 1e-9)), np.float32)
