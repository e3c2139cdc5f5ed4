"""The engines that speak: hibari-tts (extra ``say``), and espeak-ng where it is installed.

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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import AudioError, DependencyError, OptionError
from portrait_anim.system.files import printable, temporary_prefix
from portrait_anim.system.fingerprint import fingerprint

Array = npt.NDArray[np.float32]

SPEAK_S = 600  # s that espeak-ng may take; it needs a hundredth of the speech's length
FULL_SCALE = 32768  # of 16-bit samples
ESPEAK_VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb+f4")  # for speakers who were given none, after hibari's
INSTALL = 'pip install "portrait-anim[say]" (English), or the system package espeak-ng (a hundred languages)'
_ESPEAK_VOICE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\+[A-Za-z0-9]+)?", re.ASCII)


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
        with tempfile.TemporaryDirectory(prefix=temporary_prefix()) as folder:
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
