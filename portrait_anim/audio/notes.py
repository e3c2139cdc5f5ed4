"""Notes to the user about a sound, one line each, in the log."""

from __future__ import annotations

import logging

from portrait_anim.audio.clock import MAX_GAP_S, TOLD_GAP_S, Clock
from portrait_anim.audio.mix import Contents
from portrait_anim.audio.sound import clock_time
from portrait_anim.system.containers import SoundTrack

logger = logging.getLogger(__name__)


def tell_tracks(name: str, tracks: list[SoundTrack], chosen: SoundTrack) -> None:
    """Note which of several sound tracks is used, and why."""
    reason = "the file's default" if chosen.default else "the first that is not silent"
    logger.info("%s has %d sound tracks: number %d is used, %s", name, len(tracks), chosen.number, reason)


def tell_clock(name: str, clock: Clock) -> None:
    """Note where recordings were joined in one file, and what was done there."""
    changes = [
        (at, f"{before.sample_rate} Hz {before.layout} -> {after.sample_rate} Hz {after.layout}")
        for (_, before), (at, after) in zip(clock.formats, clock.formats[1:], strict=False)
    ]
    leaps = [
        (at, f"time stamps leap {'back' if by < 0 else 'ahead'} by {clock_time(abs(by))}") for at, by in clock.leaps
    ]
    at, what = min(changes + leaps)
    count = "" if len(changes) + len(leaps) == 1 else f", the first of {len(changes) + len(leaps)} such places"
    logger.warning(
        "%s is glued together at %s (%s%s): its parts are played one after the other", name, clock_time(at), what, count
    )


def tell_gaps(name: str, clock: Clock) -> None:
    """Note long gaps in the time stamps, which became silence."""
    long = [(at, length) for at, length in clock.silences if length >= (TOLD_GAP_S if at else MAX_GAP_S)]
    if long:
        at, length = long[0]
        count = "" if len(long) == 1 else f", the first of {len(long)} such gaps"
        logger.info(
            "%s has no sound for %s at %s%s: silence is played there", name, clock_time(length), clock_time(at), count
        )


def tell_damage(name: str, duration_s: float, reason: str) -> None:
    """Note what could not be decoded, and how much could."""
    if "demuxing" in reason:  # ffmpeg gave up there, e.g. where an ogg changes from mono to stereo
        logger.warning(
            "%s cannot be read beyond %s (%s): export it again in one piece", name, clock_time(duration_s), reason
        )
    else:
        logger.warning("%s is damaged in places, %.2f s of it are used (%s)", name, duration_s, reason)


def tell_parts(name: str) -> None:
    """Note joined recordings whose clock and format are consistent."""
    logger.info("%s is several recordings glued together: its parts are played one after the other", name)


def tell_rest(name: str, duration_s: float) -> None:
    """Note that another recording follows in the same file, which is not read."""
    logger.warning(
        "%s is several recordings glued together and only the first %s are read: join them in an audio editor",
        name, clock_time(duration_s),
    )  # fmt: skip


def tell_better(name: str, channel: int) -> None:
    """Note which channel, counted from 0, the nets get instead of the mean."""
    logger.info("the channels of %s cancel each other: the mouth follows channel %d", name, channel + 1)


def tell_many(name: str, n_channels: int, n_kept: int) -> None:
    """Note that many channels were averaged."""
    logger.info("%s has %d channels: the mean of the %d that are not silent is used", name, n_channels, n_kept)


def tell_strays(name: str, contents: Contents) -> None:
    """Note samples far beyond all others."""
    if contents.n_strays:
        logger.warning(
            "%s holds stray samples far louder than all others (%d, the loudest at %s): they are cut down",
            name, contents.n_strays, clock_time(contents.peak_at_s),
        )  # fmt: skip
