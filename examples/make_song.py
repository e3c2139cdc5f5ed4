"""Make examples/song.flac: the words of examples/speech.flac sung to a melody, with chords.

    python examples/make_song.py        # needs the `train` extra (pyworld)

The voice is LibriSpeech's (CC BY 4.0, see examples/README.md) analysed and sung by WORLD (Morise et al. 2016); the
melody and the chords are this script's own. Bars 5 and 6 are instrumental: the mouth should rest there.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyworld
import soundfile
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

HERE = Path(__file__).parent
SAMPLE_RATE = 16_000
FRAME_MS = 5.0
BEAT_S = 0.5
# (MIDI note, beats): a tune in C major for the first phrase, a break, the tune again higher
PHRASE = [(60, 1), (64, 1), (67, 2), (65, 1), (64, 1), (62, 2), (64, 1), (67, 1), (72, 2), (71, 1), (69, 1), (67, 2)]
_C, _F, _G, _AM = (48, 52, 55), (53, 57, 60), (55, 59, 62), (45, 48, 52)
CHORDS = [_C, _F, _C, _G, _AM, _F, _C, _G, _C]
BREAK_BEATS = 4
LONGEST_PAUSE = 60  # frames of 5 ms kept before and after a vowel


def hertz(midi: np.ndarray | float) -> np.ndarray | float:
    """Frequency of a MIDI note."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def syllables(f0: np.ndarray, spectrum: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return (start, vowel's start, vowel's end, end) in frames of every syllable of an analysed voice.

    A syllable's nucleus is a peak of the energy between 300 Hz and 3.5 kHz where the voice is on (Mermelstein 1975).
    """
    hertz_of = np.linspace(0, SAMPLE_RATE / 2, spectrum.shape[1])
    band = (hertz_of > 300) & (hertz_of < 3500)
    level = 10 * np.log10(spectrum[:, band].sum(1) + 1e-12)  # dB
    power = gaussian_filter1d(np.where(f0 > 0, level, level.max() - 45), 3.0)
    peaks, _ = find_peaks(power, distance=22, prominence=2.5, height=power.max() - 28)
    cuts = [0, *(a + int(power[a:b].argmin()) for a, b in itertools.pairwise(peaks)), len(f0)]
    found = []
    for peak, start, end in zip(peaks, cuts, cuts[1:], strict=False):
        loud = power > power[peak] - 4
        first, last = peak, peak
        while first > start and loud[first - 1]:
            first -= 1
        while last + 1 < end and loud[last + 1]:
            last += 1
        found.append((start, first, last + 1, end))
    return found


def sing(voice: np.ndarray) -> np.ndarray:
    """Sing a spoken waveform, a note a syllable: vowels are held, consonants keep their length."""
    f0, spectrum, aperiodicity = pyworld.wav2world(voice, SAMPLE_RATE, frame_period=FRAME_MS)
    at, notes = [], []
    for k, (start, vowel, vowel_end, end) in enumerate(syllables(f0, spectrum)):
        note, beats = PHRASE[k % len(PHRASE)]
        start, end = max(start, vowel - LONGEST_PAUSE), min(end, vowel_end + LONGEST_PAUSE)
        wanted = round(beats * BEAT_S * 1000 / FRAME_MS)
        held = max(vowel_end - vowel, wanted - (vowel - start) - (end - vowel_end))
        frames = [*range(start, vowel), *np.linspace(vowel, vowel_end - 1, held), *range(vowel_end, end)]
        at += frames
        notes += [float(note)] * len(frames)
    glide = np.hanning(21)
    track = np.convolve(np.pad(notes, 10, mode="edge"), glide / glide.sum(), "valid")
    time = np.arange(len(track)) * FRAME_MS / 1000
    since = np.arange(len(notes)) - np.maximum.accumulate(
        np.where(np.diff(notes, prepend=-1.0) != 0, np.arange(len(notes)), 0)
    )
    track += 0.3 * np.sin(2 * np.pi * 5.5 * time) * np.clip(since * FRAME_MS / 1000 - 0.25, 0, 0.4) / 0.4  # vibrato
    pitch = hertz(track)
    while np.median(pitch) < 0.8 * np.median(f0[f0 > 0]):  # an octave the voice is at home in
        pitch *= 2
    nearest = np.round(at).astype(int)
    sung = np.where(f0[nearest] > 0, pitch, 0.0)
    return pyworld.synthesize(
        sung,
        np.ascontiguousarray(spectrum[nearest]),
        np.ascontiguousarray(aperiodicity[nearest]),
        SAMPLE_RATE,
        FRAME_MS,
    )


def accompaniment(duration_s: float) -> np.ndarray:
    """Return plucked chords, one a bar of four beats, for ``duration_s`` seconds."""
    out = np.zeros(round(duration_s * SAMPLE_RATE) + SAMPLE_RATE * 3)
    bar = 4 * BEAT_S
    for k in range(int(np.ceil(duration_s / bar))):
        for i, note in enumerate((*CHORDS[k % len(CHORDS)], CHORDS[k % len(CHORDS)][1] + 12)):
            time = np.arange(round(bar * SAMPLE_RATE)) / SAMPLE_RATE
            tone = sum(np.sin(2 * np.pi * hertz(note) * h * time) / h**2 for h in (1, 2, 3, 4)) * np.exp(-2.2 * time)
            start = round((k * bar + i * BEAT_S / 2) * SAMPLE_RATE)
            out[start : start + len(tone)] += tone * np.minimum(1, time * 200)
    return out[: round(duration_s * SAMPLE_RATE)]


def main() -> None:
    """Write the song."""
    voice, rate = soundfile.read(HERE / "speech.flac")
    if rate != SAMPLE_RATE:
        raise SystemExit(f"speech.flac has {rate} Hz, not {SAMPLE_RATE}")
    half = len(voice) // 2
    quiet = half + int(np.argmin(np.convolve(np.abs(voice[half - 8000 : half + 8000]), np.ones(1600), "same"))) - 8000
    lead_in = np.zeros(SAMPLE_RATE)
    rest = np.zeros(round(BREAK_BEATS * BEAT_S * SAMPLE_RATE))
    sung = np.concatenate([lead_in, sing(voice[:quiet]), rest, sing(voice[quiet:]), lead_in])
    music = accompaniment(len(sung) / SAMPLE_RATE)
    mix = sung / np.abs(sung).max() * 0.7 + music / np.abs(music).max() * 0.3
    soundfile.write(HERE / "song.flac", mix / np.abs(mix).max() * 0.9, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
