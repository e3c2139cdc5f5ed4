"""Make examples/song.flac: the words of examples/speech.flac sung to a melody, with chords.

    python examples/make_song.py        # needs the `train` extra (pyworld)

The voice is LibriSpeech's (CC BY 4.0, see examples/README.md) analysed and sung by WORLD (Morise et al. 2016); the
melody and the chords are this script's own. Bars 5 and 6 are instrumental: the mouth should rest there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyworld
import soundfile

HERE = Path(__file__).parent
SAMPLE_RATE = 16_000
FRAME_MS = 5.0
BEAT_S = 0.5
# (MIDI note, beats): a tune in C major for the first phrase, a break, the tune again higher
PHRASE = [(60, 1), (64, 1), (67, 2), (65, 1), (64, 1), (62, 2), (64, 1), (67, 1), (72, 2), (71, 1), (69, 1), (67, 2)]
_C, _F, _G, _AM = (48, 52, 55), (53, 57, 60), (55, 59, 62), (45, 48, 52)
CHORDS = [_C, _F, _C, _G, _AM, _F, _C, _G, _C]
BREAK_BEATS = 4
STRETCH = 1.5


def hertz(midi: float) -> float:
    """Frequency of a MIDI note."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def melody(n_frames: int) -> np.ndarray:
    """Return (n_frames,) MIDI pitch at 5 ms: the phrase over and over, with short glides and vibrato."""
    notes = np.concatenate([np.full(round(beats * BEAT_S * 1000 / FRAME_MS), note, float) for note, beats in PHRASE])
    track = np.resize(notes, n_frames)
    glide = np.hanning(25)
    track = np.convolve(np.pad(track, 12, mode="edge"), glide / glide.sum(), "valid")
    time = np.arange(n_frames) * FRAME_MS / 1000
    return track + 0.35 * np.sin(2 * np.pi * 5.5 * time) * np.clip((time % (2 * BEAT_S)) - 0.25, 0, 1)


def sing(voice: np.ndarray) -> np.ndarray:
    """Sing a spoken waveform: stretched in time, its pitch replaced by the melody where it is voiced."""
    f0, spectrum, aperiodicity = pyworld.wav2world(voice, SAMPLE_RATE, frame_period=FRAME_MS)
    n_out = round(len(f0) * STRETCH)
    at = np.minimum((np.arange(n_out) / STRETCH).round().astype(int), len(f0) - 1)
    pitch = np.array([hertz(note) for note in melody(n_out)])
    while np.median(pitch) < 0.8 * np.median(f0[f0 > 0]):  # an octave the voice is at home in
        pitch *= 2
    sung = np.where(f0[at] > 0, pitch, 0.0)
    return pyworld.synthesize(
        sung, np.ascontiguousarray(spectrum[at]), np.ascontiguousarray(aperiodicity[at]), SAMPLE_RATE, FRAME_MS
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
