"""Opens a sound file or a video: chooses its sound track and repairs what can be repaired while it is read."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from portrait_anim.audio.decode import Decoded, Waveform, channel, decode, mono, survey, undecoded_s
from portrait_anim.audio.kept import pieces
from portrait_anim.audio.mix import Contents, contents_of, replaced
from portrait_anim.audio.notes import (
    tell_better,
    tell_clock,
    tell_damage,
    tell_gaps,
    tell_many,
    tell_parts,
    tell_rest,
    tell_strays,
    tell_tracks,
)
from portrait_anim.audio.sound import Sound, check_duration, clock_time
from portrait_anim.audio.track import MAX_MIXED_CHANNELS, Repair, Track, blocks
from portrait_anim.audio.waveform import in_range, peak_of
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import AudioError
from portrait_anim.system import ffmpeg
from portrait_anim.system.containers import SoundTrack, duration_s, goes_on, is_several_mp3, playlist, sound_tracks
from portrait_anim.system.files import printable, readable_file
from portrait_anim.system.fingerprint import fingerprint

MAX_FILM_RATE = 48_000  # Hz, of repaired sound
SILENT_DBFS = -70.0  # a track whose loudest 20 ms are below is silent
_STEP = SAMPLE_RATE // 50  # 20 ms
# An error this near to the end is one of the end: ffmpeg reports it up to 12 frames early when the machine is busy.
END_S, END_FRAMES = 0.4, 20
SHORT_S = 0.1  # s; less than this missing at the end is not noted


def open_file(audio: str | os.PathLike[str], max_duration: float) -> Sound:
    """Return the sound of a file; see :func:`portrait_anim.audio.load.load_sound`."""
    name, path = printable(audio), readable_file(audio, AudioError, "sound")
    if kind := playlist(path):
        raise AudioError(f"{name} is {kind}, it names other files and holds no sound: give the recording itself")
    read = fingerprint(path, AudioError, "sound")
    header = ffmpeg.header(path)
    tracks = sound_tracks(header)
    order = sorted(tracks, key=lambda track: not track.default)  # those that the file prefers first
    chosen, track, waveform = _first_heard(order, Track(path), name, header, max_duration)
    if chosen is not None and len(tracks) > 1:
        tell_tracks(name, tracks, chosen)
    if goes_on(path):
        tell_rest(name, len(waveform) / SAMPLE_RATE)
    return Sound(name, in_range(waveform), track, read)


def _first_heard(
    order: list[SoundTrack], first: Track, name: str, header: str, limit_s: float
) -> tuple[SoundTrack | None, Track, Waveform]:
    """Return the first track that is not silent, or else the first; with how it is read and its sound."""
    if not order:  # ffmpeg says why
        return None, *_read(first, None, name, header, limit_s)
    kept, failure = None, None
    for found in order:
        try:
            track, waveform = _read_track(replace(first, stream=found.stream), found, name, header, limit_s)
        except AudioError as e:
            failure = failure or e
            continue
        if len(order) == 1 or _loudest(waveform) > 10 ** (SILENT_DBFS / 20):
            return found, track, waveform
        kept = kept or (found, track, waveform)
    if kept is None:
        assert failure is not None  # noqa: S101
        raise failure
    return kept


def _read_track(track: Track, found: SoundTrack, name: str, header: str, limit_s: float) -> tuple[Track, Waveform]:
    """Read one track unless its header says that it is too long, and its packets say the same."""
    told = duration_s(header) or 0.0
    if told > limit_s and undecoded_s(track, limit_s) > limit_s:
        check_duration(name, told, limit_s)
    return _read(track, found, name, header, limit_s)


def _loudest(waveform: Waveform) -> float:
    """Return the RMS of the loudest 20 ms."""
    wholes = (piece[: len(piece) // _STEP * _STEP].reshape(-1, _STEP) for piece in pieces(waveform))
    return float(np.sqrt(max(((whole**2).mean(1).max(initial=0.0) for whole in wholes), default=0.0)))


def _read(track: Track, found: SoundTrack | None, name: str, header: str, limit_s: float) -> tuple[Track, Waveform]:
    decoded = decode(track, limit_s)
    if found is not None and found.channels > MAX_MIXED_CHANNELS and not len(decoded.waveform):
        return _many_channels(track, found.channels, name, limit_s)  # ffmpeg knows no downmix
    if decoded.clock.odd:
        seen = survey(track, limit_s)
        check_duration(name, seen.clock.total_s, limit_s, at_least=True)
        if not seen.clock.wavers:
            return _glued(track, name, seen)
        decoded = decode(track, limit_s, through=True)
    check_duration(name, len(decoded.waveform) / SAMPLE_RATE, limit_s, at_least=True)
    _check_decoded(decoded, track, name, header)
    if not decoded.clock.formats:
        return track, decoded.waveform
    _, kind = decoded.clock.formats[0]
    plain = Repair(kind.sample_rate, kind.channels)
    loud = bool(len(decoded.waveform)) and not peak_of(decoded.waveform) <= 1  # or NaN
    if kind.channels == 1 and not loud:
        return track, decoded.waveform
    contents = contents_of(blocks(track, plain), kind.sample_rate)
    if kind.channels > 2 and contents.is_lost(decoded.waveform):
        kept = contents.sounding()
        tell_many(name, kind.channels, len(kept))
        return _repaired(track, replace(plain, kept=kept), name)
    mended = _mended(plain, contents, name)
    if mended is not None:
        track = _for_film(replace(track, repair=mended), contents)
        return track, _heard(track, mended, contents, None, name)
    return _for_film(track, contents), _heard(track, plain, contents, decoded.waveform, name)


def _check_decoded(decoded: Decoded, track: Track, name: str, header: str) -> None:
    """Raise AudioError when nothing was decoded; note what could not be decoded."""
    if not decoded.complaint:
        tell_gaps(name, decoded.clock)
        return
    why = decoded.complaint
    if not len(decoded.waveform):
        if not header:
            raise AudioError(f"{name} is not a sound that ffmpeg can read ({why}): try a wav or mp3 file")
        if not ffmpeg.streams(header, "Audio"):
            raise AudioError(f"{name} has no sound track: give a sound file, or a video with sound")
        raise AudioError(f"the sound in {name} is damaged and cannot be decoded ({why}): export it again")
    if decoded.one_error and _is_whole(decoded, header):  # a last packet that was cut off: nothing is lost
        return
    if decoded.one_error and is_several_mp3(track.path):
        tell_parts(name)
        return
    tell_damage(name, len(decoded.waveform) / SAMPLE_RATE, why)


def _is_whole(decoded: Decoded, header: str) -> bool:
    """Return whether nothing is lost: no frame missing, an error only at the end, as long as the header says."""
    told, clock = duration_s(header), decoded.clock
    if clock.error_at_s is not None and clock.total_s - clock.error_at_s > max(END_S, END_FRAMES * clock.frame_s):
        return False
    return told is not None and not clock.missing and told - clock.total_s < SHORT_S


def _glued(track: Track, name: str, seen: Decoded) -> tuple[Track, Waveform]:
    """Read a file of several joined recordings, placing them by counting samples, not by time stamps."""
    clock = seen.clock
    formats = [kind for _, kind in clock.formats]
    rate = min(MAX_FILM_RATE, max(kind.sample_rate for kind in formats))
    channels = min(2, max(kind.channels for kind in formats))
    repair = Repair(rate, channels, tuple(clock.silences))
    if clock.stumbles:
        tell_damage(name, clock.total_s, seen.complaint or "its format changes for a moment")
    elif clock.changes:
        tell_clock(name, clock)
    tell_gaps(name, clock)
    return _repaired(track, repair, name)


def _many_channels(track: Track, channels: int, name: str, limit_s: float) -> tuple[Track, Waveform]:
    """Read more channels than ffmpeg can mix as the mean of those that are not silent."""
    seen = survey(track, limit_s)
    check_duration(name, seen.clock.total_s, limit_s, at_least=True)
    if not seen.clock.formats:
        raise AudioError(f"the sound in {name} is damaged and cannot be decoded ({seen.complaint}): export it again")
    kind = seen.clock.formats[0][1]
    if seen.clock.odd:
        raise AudioError(f"{name} has {channels} channels and changes its format midway: export it as stereo")
    repair = Repair(kind.sample_rate, kind.channels)
    contents = contents_of(blocks(track, repair), kind.sample_rate)
    kept = contents.sounding()
    tell_many(name, channels, len(kept))
    return _repaired(track, replace(repair, kept=kept), name)


def _repaired(track: Track, repair: Repair, name: str) -> tuple[Track, Waveform]:
    contents = contents_of(blocks(track, repair), repair.sample_rate)
    repair = _mended(repair, contents, name) or repair
    track = _for_film(replace(track, repair=repair), contents)
    return track, _heard(track, repair, contents, None, name)


def _mended(repair: Repair, contents: Contents, name: str) -> Repair | None:
    """Return the repair that also clips stray samples (see ``mix``); None where there are none.

    Raises:
        AudioError: a sample is NaN or infinite.
    """
    if contents.broken:
        where = f"{contents.broken}, the first at {clock_time(contents.broken_at_s)}"
        raise AudioError(f"{name} holds NaN or infinite samples ({where}): export it again, e.g. as 16-bit wav")
    tell_strays(name, contents)
    if not contents.n_strays:
        return None
    return replace(repair, limit=max(contents.usual_peak, 1.0))


def _for_film(track: Track, contents: Contents) -> Track:
    """Return the track with a gain for the film: sound beyond full scale is divided by its peak."""
    peak = contents.usual_peak
    return replace(track, gain=1 / peak) if peak > 1 else track


def _heard(track: Track, repair: Repair, contents: Contents, plain: Waveform | None, name: str) -> Waveform:
    """Return the waveform for the nets: ffmpeg's downmix or the channels' mean, and one channel where they cancel."""
    mean = plain
    if mean is None:
        mean = mono(blocks(track, repair), repair.sample_rate, lambda block: block.mean(1, dtype=np.float32))
    cancels = contents.cancels
    if repair.kept is None and cancels.any():
        better = contents.better_channel(cancels)
        tell_better(name, better)
        mean = replaced(mean, channel(track, repair, better), cancels)
    return mean
