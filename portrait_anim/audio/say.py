"""Speaks a text with espeak-ng, a program that runs offline and knows over a hundred languages; it sounds synthetic.

It is run as a program of its own (its licence is GPL 3), sentence by sentence, and is not shipped.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import DependencyError, OptionError

PROGRAM = "espeak-ng"
INSTALL = "apt install espeak-ng, brew install espeak-ng, or its installer for Windows"
PAUSE_S = 0.3  # between sentences
TIMEOUT_S = 120  # for one of them
HEADER_BYTES = 44  # of the wav that it writes to a pipe; the lengths in it are not true
_SENTENCE = re.compile(r"(?<=[.!?。！？…؟।])[\s\"'”’)\]»]*\s+|(?<=[。！？])|\n+")


def speak(text: str, voice: str) -> tuple[npt.NDArray[np.float32], int]:
    """Return a spoken text as samples (N,), -1..1, and their rate.

    Args:
        text: as :class:`portrait_anim.options.MotionOptions` has checked it.
        voice: of espeak-ng, such as ``en-us``, ``de`` or ``fr+f3``.

    Raises:
        DependencyError: espeak-ng is not on this machine, or fails.
        OptionError: it has no such voice, or there is nothing to be said.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise DependencyError(f"say needs the program {PROGRAM}, and it is not on this machine: {INSTALL}")
    parts = []
    rate = 0
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        samples, rate = _sentence(program, sentence, voice)
        parts += [samples, np.zeros(round(PAUSE_S * rate), np.float32)]
    spoken = np.concatenate(parts[:-1]) if parts else np.zeros(0, np.float32)
    if not spoken.any():
        raise OptionError(
            f"say: nothing in the text can be spoken with the voice {voice!r}: give words, or another voice"
        )
    return spoken, rate


def _sentence(program: str, text: str, voice: str) -> tuple[npt.NDArray[np.float32], int]:
    try:
        done = subprocess.run(  # noqa: S603
            [program, "-v", voice, "-b", "1", "--stdin", "--stdout"], input=text.encode(), capture_output=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as e:
        raise DependencyError(f"{PROGRAM} does not speak ({type(e).__name__}): install it anew") from e
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())
        if "voice" in reason:
            raise OptionError(f"voice {voice!r} is none of {PROGRAM}'s: its --voices lists them, give en-us, de, fr+f3")
        raise DependencyError(f"{PROGRAM} does not speak ({reason or done.returncode}): install it anew")
    if done.stdout[:4] != b"RIFF":
        return np.zeros(0, np.float32), 22_050
    (rate,) = struct.unpack("<I", done.stdout[24:28])
    data = done.stdout[HEADER_BYTES:]
    samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    return np.asarray(samples / 32768, np.float32), int(rate)
