"""Text to speech, by engines that run on this machine (extra ``say``: hibari-tts; or espeak-ng, where it is installed).

Nothing is fetched: a voice whose file is not here is refused with what to do.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import tempfile
import unicodedata
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import AudioError, DependencyError, OptionError
from portrait_anim.system.files import printable, readable_file
from portrait_anim.system.fingerprint import fingerprint

Array = npt.NDArray[np.float32]

PAUSE_S = 0.35  # between two lines of a dialogue
MAX_TEXT_LETTERS = 100_000  # some two hours of speech
SPEAK_S = 600  # s that espeak-ng may take; it needs a hundredth of the speech's length
FULL_SCALE = 32768  # of 16-bit samples
ESPEAK_VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb+f4")  # for speakers who were given none, after hibari's
INSTALL = 'pip install "portrait-anim[say]" (English), or the system package espeak-ng (a hundred languages)'
_LINE = re.compile(r"(?P<who>[^\W\d_][\w .'-]{0,39}):\s+(?P<text>\S.*)")
_ESPEAK_VOICE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\+[A-Za-z0-9]+)?", re.ASCII)


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


class Voice(Protocol):
    """A voice of an engine."""

    def speak(self, text: str) -> tuple[Array, int]:
        """Return samples (N,) float32 and their rate in Hz."""

    def models(self) -> dict[str, str]:
        """Return what the manifest says of it."""


@dataclass(frozen=True)
class HibariVoice:
    """A small net that speaks English (hibari-tts, Apache-2.0)."""

    name: str

    def _file(self) -> Path:
        from hibari import voices

        try:
            return Path(voices.voice_path(self.name, download_missing=False))
        except FileNotFoundError as e:
            raise OptionError(
                f"voice {self.name} is not on this machine, and nothing is fetched: save "
                f"{voices.BASE_URL}{voices.VOICES[self.name]['file']} as {printable(str(e))}, or choose another voice"
            ) from e

    def speak(self, text: str) -> tuple[Array, int]:
        """Speak; letters that English does not know are refused, as they would be spelt out."""
        foreign = {c for c in text if c.isalpha() and not unicodedata.name(c, "").startswith("LATIN")}
        if foreign:
            raise OptionError(
                f"voice {self.name} speaks English and cannot read {''.join(sorted(foreign)[:8])!r}: choose a voice of "
                "espeak-ng for this language, as --voice de"
            )
        engine = _hibari(self.name, str(self._file()))
        return np.asarray(engine(text, seed=0), np.float32), int(engine.sample_rate)

    def models(self) -> dict[str, str]:
        """Return engine, version and voice with the digest of its net."""
        version = importlib.metadata.version("hibari-tts")
        digest = fingerprint(self._file(), AudioError, "voice").sha256
        return {f"hibari-tts {version}, voice {self.name}": digest}


@dataclass(frozen=True)
class EspeakVoice:
    """A voice of espeak-ng, run as a program (GPL-3.0, nothing of it is part of this one): clear, but a machine's."""

    name: str

    def _program(self) -> str:
        if (program := shutil.which("espeak-ng")) is None:
            raise DependencyError(f"voice {self.name} is one of espeak-ng's, which is not on this machine: {INSTALL}")
        return program

    def speak(self, text: str) -> tuple[Array, int]:
        """Speak; the text goes in through a pipe."""
        with tempfile.TemporaryDirectory(prefix="portrait_anim-") as folder:
            sound = Path(folder) / "speech.wav"
            try:
                done = subprocess.run(  # noqa: S603
                    [self._program(), "-v", self.name, "-b", "1", "--stdin", "-w", str(sound)],
                    input=text.encode(), capture_output=True, timeout=SPEAK_S, check=False,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as e:
                raise AudioError(f"espeak-ng does not speak ({e}): use a shorter text") from e
            said = " ".join(done.stderr.decode(errors="replace").split())
            if "voice does not exist" in said:
                raise OptionError(f"unknown voice {self.name!r}: choose {_choices()}")
            if done.returncode or not sound.exists():
                raise AudioError(f"espeak-ng does not speak ({said or done.returncode}): try another voice")
            with wave.open(str(sound)) as file:  # 16 bits, one channel
                samples, sample_rate = file.readframes(file.getnframes()), file.getframerate()
        return np.asarray(np.frombuffer(samples, "<i2") / FULL_SCALE, np.float32), int(sample_rate)

    def models(self) -> dict[str, str]:
        """Return program, version and voice with the program's digest."""
        program = self._program()
        told = subprocess.run([program, "--version"], capture_output=True, timeout=SPEAK_S, check=False)  # noqa: S603
        version = re.search(rb"\d+(\.\d+)+", told.stdout)
        name = f"espeak-ng {version[0].decode() if version else ''}, voice {self.name}"
        return {name: fingerprint(program, AudioError, "program").sha256}


@cache
def _hibari(name: str, file: str) -> Any:
    """Load a voice's net, once a process."""
    from hibari import Hibari

    return Hibari(name, model=file)


def _hibari_voices(*, here: bool = True) -> list[str]:
    """Return the names of hibari's voices, ``here``: those whose file is on this machine; [] without hibari."""
    try:
        from hibari import voices
    except ImportError:
        return []
    found = []
    for name in voices.VOICES:
        try:
            voices.voice_path(name, download_missing=False)
        except FileNotFoundError:
            if here:
                continue
        found.append(name)
    return found


def _choices() -> str:
    return f"{', '.join([*_hibari_voices(here=False), ''])}or one that espeak-ng --voices lists, as de or en-us+f3"


def find_voice(name: str | None, number: int = 0) -> Voice:
    """Return a voice by its name: one of hibari's, or else of espeak-ng's.

    Args:
        name: None chooses.
        number: of the speaker, from 0: others get other voices, as far as there are any.

    Raises:
        OptionError: no such voice.
        DependencyError: no engine is on this machine.
    """
    if name is not None:
        if name in _hibari_voices(here=False):
            return HibariVoice(name)
        if not _ESPEAK_VOICE.fullmatch(name):
            raise OptionError(f"unknown voice {name!r}: choose {_choices()}")
        return EspeakVoice(name)
    voices: list[Voice] = [HibariVoice(name) for name in _hibari_voices()]
    if shutil.which("espeak-ng") is not None:
        voices += [EspeakVoice(name) for name in ESPEAK_VOICES]
    if not voices:
        raise DependencyError(f"nothing speaks on this machine: {INSTALL}")
    return voices[number % len(voices)]


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
