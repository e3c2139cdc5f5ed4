"""The sounds of one film, as arguments (inputs and filters) of the ffmpeg process that writes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.track import Track, blocks
from portrait_anim.audio.waveform import as_channels, check_sample_rate, in_range
from portrait_anim.errors import AudioError, OutputError
from portrait_anim.system import ffmpeg
from portrait_anim.system.files import printable, readable_file, temporary_prefix

Waveform: TypeAlias = tuple[npt.NDArray[np.float32], int]
Sound: TypeAlias = "str | os.PathLike[str] | Track | tuple[Any, int]"

# What every AAC player takes: stereo at most, 16 to 48 kHz; ffmpeg picks the nearest.
_FORMAT = "aformat=channel_layouts=mono|stereo:sample_rates=48000|44100|32000|24000|22050|16000"


class FilmSound:
    """Up to a few sounds that are mixed into one.

    Args:
        sounds: files, their tracks, or ``(samples, sample_rate)``.
        duration_s: cut them to this length, or fill them up with silence; None leaves them.
        kept: gets the names of the temporary files that samples are kept in; the caller deletes them.

    Attributes:
        files: those that are read.
        known: whether all are tracks or samples that ``audio.load`` has read before, with notes about any damage.

    Raises:
        AudioError: a sound that cannot be used.
    """

    def __init__(self, sounds: Sequence[Sound], duration_s: float | None, kept: list[Path]) -> None:
        self.known = all(not isinstance(sound, (str, os.PathLike)) for sound in sounds)
        self._sounds = [_checked(sound) for sound in sounds]
        self._duration_s = duration_s
        self._kept = kept
        self.files = [sound.path for sound in self._sounds if isinstance(sound, Track)]

    @property
    def n_inputs(self) -> int:
        """How many inputs of ffmpeg they are."""
        return len(self._sounds)

    def inputs(self) -> list[str]:
        """Return the arguments of ffmpeg's inputs 1, 2...."""
        return [argument for sound in self._sounds for argument in self._input(sound)]

    def mapping(self) -> list[str]:
        """Return the arguments that take the sound from the inputs; none for a silent film."""
        chains = [self._chain(number, sound) for number, sound in enumerate(self._sounds, 1)]
        if len(chains) > 1:
            return ["-filter_complex", _mixed(chains), "-map", "[mix]"]
        return ["-map", chains[0][0], "-af", chains[0][1]] if chains else []

    def _chain(self, number: int, sound: Track | Waveform) -> tuple[str, str]:
        """Return the name of a sound's track when it is ffmpeg's input ``number``, and the filters it goes through."""
        name, filters = f"{number}:a:0", [ffmpeg.SOUND_FILTER, _FORMAT]
        if isinstance(sound, Track) and sound.repair is None:
            name = sound.selector(number)
            if sound.gain != 1:  # before all else: no format in between may cut off what is over full scale
                filters.insert(0, f"volume={sound.gain!r}:precision=float")
        if self._duration_s is not None:
            filters += [f"atrim=end={self._duration_s:.6f}", f"apad=whole_dur={self._duration_s:.6f}"]
        return name, ",".join(filters)

    def _input(self, sound: Track | Waveform) -> list[str]:
        if isinstance(sound, Track):
            if sound.repair is None:
                return ffmpeg.file_input(sound.path)
            pieces = (block * np.float32(sound.gain) for block in blocks(sound, sound.repair))
            return self._keep(pieces, sound.repair.sample_rate, sound.repair.channels_out)
        samples, sample_rate = sound
        return self._keep([samples], sample_rate, samples.shape[1])

    def _keep(self, pieces: Iterable[npt.NDArray[np.float32]], sample_rate: int, n_channels: int) -> list[str]:
        """Write blocks (n, C) to a temporary file and return the arguments of its input."""
        handle, raw = _temporary_file("the sound", ".f32", self._kept)
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
                for piece in pieces:
                    # channels of unknown places become one: (n, 1)
                    kept = piece.mean(axis=1, keepdims=True) if n_channels > 2 else piece
                    file.write(np.ascontiguousarray(kept, "<f4").data)
        except OSError as e:
            folder = printable(raw.parent)
            raise OutputError(f"cannot keep the sound in {folder} ({e.strerror}): free some space there") from e
        return ffmpeg.raw_input(raw, sample_rate, n_channels if n_channels <= 2 else 1)


def keep_captions(text: str, kept: list[Path]) -> Path:
    """Write captions to a temporary .srt file; ``kept`` gets its name, and the caller deletes it.

    Raises:
        OutputError: there is no room for it.
    """
    handle, path = _temporary_file("the captions", ".srt", kept)
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            file.write(text)
    except OSError as e:
        raise OutputError(
            f"cannot keep the captions in {printable(path.parent)} ({e.strerror}): free some space"
        ) from e
    return path


def _temporary_file(what: str, suffix: str, kept: list[Path]) -> tuple[int, Path]:
    """Return an open descriptor and the name of a new file."""
    try:
        handle, name = tempfile.mkstemp(prefix=temporary_prefix(), suffix=suffix)
    except OSError as e:  # no folder for temporary files, or no room for one more name
        raise OutputError(f"cannot keep {what} in a file ({e.strerror}): set TMPDIR to a folder") from e
    kept.append(Path(name))
    return handle, Path(name)


def _checked(sound: Sound) -> Track | Waveform:
    if isinstance(sound, Track):
        return sound
    if isinstance(sound, (str, os.PathLike)):
        return Track(readable_file(sound, AudioError, "sound"))
    return in_range(as_channels(sound[0])), check_sample_rate(sound[1])


def _mixed(chains: list[tuple[str, str]]) -> str:
    """Return the filter graph that adds the inputs' tracks, each filtered alone first."""
    stereo = "aformat=channel_layouts=stereo:sample_rates=48000"
    alone = [f"[{name}]{filters},{stereo}[s{number}]" for number, (name, filters) in enumerate(chains, 1)]
    added = "".join(f"[s{number}]" for number in range(1, len(chains) + 1))
    added += f"amix=inputs={len(chains)}:duration=longest:normalize=0"
    return ";".join([*alone, f"{added},alimiter=limit=0.98:level=0:latency=1[mix]"])
