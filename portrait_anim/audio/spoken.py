"""Text to speech on this machine: one text, or lines of a dialogue whose speakers take turns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from portrait_anim.audio.voices import Array, Voice, find_voice
from portrait_anim.errors import AudioError, OptionError
from portrait_anim.system.files import printable, readable_file

PAUSE_S = 0.35  # between two lines of a dialogue
MAX_TEXT_LETTERS = 100_000  # some two hours of speech
_LINE = re.compile(r"(?P<who>[^\W\d_][\w .'-]{0,39}):\s+(?P<text>\S.*)")


class Speech(tuple[Array, int]):
    """A spoken text: ``(waveform, sample_rate)``, as :func:`portrait_anim.animate` takes a sound.

    Attributes:
        name: how messages call it.
        models: name, version and voice of the engine -> SHA-256 of what it spoke with; for the film's manifest.
    """

    name: str
    models: Mapping[str, str]

    def __new__(cls, waveform: Array, sample_rate: int, name: str, models: Mapping[str, str]) -> Self:
        """Return samples (N,) float32 at a rate in Hz."""
        speech = super().__new__(cls, (waveform, sample_rate))
        speech.name, speech.models = name, dict(models)
        return speech


def say(text: str, voice: str | None = None) -> Speech:
    """Return a spoken text, which :func:`portrait_anim.animate` takes as a sound.

    >>> animate("photo.jpg", say("Hello."))  # doctest: +SKIP

    Args:
        text: what to say.
        voice: ``heart``, or another of hibari's, or one that ``espeak-ng --voices`` lists; None: the best one here.

    Raises:
        OptionError: no text, or no such voice.
        DependencyError: no engine is on this machine.
    """
    return _spoken([("", text)], {"": find_voice(voice)})[0]


def say_lines(text: str, voices: Mapping[str, str] | None = None) -> list[Speech]:
    """Return what each speaker of a dialogue says, in the order in which they first speak, all equally long.

    Args:
        text: lines ``name: what is said``; a line without a name goes on with the one before. If the first line has
            no name, everything is one speaker's.
        voices: name of a speaker -> voice; ``""``: of all others. Who has none gets one.

    Raises:
        OptionError: no text, no such voice, or a voice for somebody who does not speak.
        DependencyError: no engine is on this machine.
    """
    lines = _lines(text)
    speakers = list(dict.fromkeys(who for who, _ in lines))
    chosen = dict(voices or {})
    everyone = chosen.pop("", None)
    if strange := sorted(set(chosen) - set(speakers)):
        raise OptionError(f"{strange[0]!r} says nothing: the speakers are {', '.join(speakers)}")
    return _spoken(lines, {who: find_voice(chosen.get(who, everyone), i) for i, who in enumerate(speakers)})


def speeches(text: str, voices: Sequence[str], *, dialogue: bool) -> list[Speech]:
    """Return a text as one sound, or as one for each of its speakers.

    Args:
        text: what to say.
        voices: ``NAME``, or ``WHO=NAME`` for the speakers of a dialogue.
        dialogue: whether its lines may begin with names.

    Raises:
        OptionError, DependencyError: as of :func:`say_lines`.
    """
    pairs = [given.rpartition("=")[::2] for given in voices]
    chosen = dict(pairs)
    if len(chosen) < len(pairs):
        raise OptionError("voice is given twice for the same speaker: give it once")
    if dialogue:
        return say_lines(text, chosen)
    if set(chosen) - {""}:
        raise OptionError("voice WHO=NAME is of a dialogue: give lines as 'hers: Good morning.', in a .txt file")
    return [say(text, chosen.get(""))]


def read_lines(path: str | Path) -> str:
    """Return a text file's text.

    Raises:
        AudioError: it cannot be read, or is no UTF-8 text.
    """
    file = readable_file(path, AudioError, "text")
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as e:
        raise AudioError(f"text {printable(path)} is not UTF-8: save it as UTF-8") from e


def _lines(text: str) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _LINE.fullmatch(line)
        if found is not None and (not lines or lines[0][0]):
            lines.append((found["who"], found["text"]))
        else:
            lines.append((lines[-1][0] if lines else "", line))
    return lines


def _spoken(lines: Sequence[tuple[str, str]], voices: Mapping[str, Voice]) -> list[Speech]:
    if sum(len(text) for _, text in lines) > MAX_TEXT_LETTERS:
        raise OptionError(f"the text has more than {MAX_TEXT_LETTERS} letters: make several films")
    pieces: list[tuple[str, Array, int]] = []
    for who, text in lines:
        waveform, sample_rate = voices[who].speak(text) if any(map(str.isalnum, text)) else (np.zeros(0, np.float32), 1)
        if len(waveform):
            pieces.append((who, waveform, sample_rate))
    if not pieces:
        raise OptionError("there is nothing to say: give a text with words")
    starts_s, at_s = [], 0.0
    for _, waveform, sample_rate in pieces:
        starts_s.append(at_s)
        at_s += len(waveform) / sample_rate + PAUSE_S
    speeches = []
    for who in dict.fromkeys(who for who, _, _ in pieces):
        rate = next(rate for speaker, _, rate in pieces if speaker == who)
        track = np.zeros(round((at_s - PAUSE_S) * rate), np.float32)
        for start_s, (speaker, waveform, _) in zip(starts_s, pieces, strict=True):
            if speaker == who:
                place = track[round(start_s * rate) :][: len(waveform)]
                place[:] = waveform[: len(place)]
        speeches.append(Speech(track, rate, f"what {who} says" if who else "the speech", voices[who].models()))
    return speeches
