"""Decides which files ffmpeg and Pillow may open here, and reads their headers.

A playlist (m3u8, mpd, sdp, concat...) is a text that names other files, which ffmpeg would open. A "recording" sent by
somebody else could so put the sound of a private file into a film. Only formats that hold their own data are allowed.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

# ffmpeg's names of its demuxers. Left out: whatever opens further files or hosts (hls, dash, concat, imf, sdp, rtsp,
# vobsub, image2, avisynth, dvdvideo...), pictures, subtitles and plain text.
_CONTAINERS = (
    # sound
    "3dostr aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix alaw amr amrnb amrwb apac apc ape apm aptx "
    "aptx_hd argo_asf ast au bfstm binka bit boa bonk brstm caf codec2 codec2raw daud dcstr dfpwm dsf dss dts dtshd "
    "eac3 ea_cdata epaf fsb fwse g722 g723_1 g726 g726le g728 g729 genh gsm hca hcom iamf ilbc ircam iss "
    "kvag laf lc3 loas mca mlp mmf mp3 mpc mpc8 msf msnwctcp mtaf mulaw musx nistsphere nsp oma ogg osq paf pvf qcp "
    "qoa rka rso rsd s16be s16le s24be s24le s32be s32le f32be f32le f64be f64le u8 s8 s337m sbc sdns sds sdx shn sln "
    "sol sox spdif svag svs tak tta truehd vag voc vpk vqf w64 wady wav wavarc wsd wv wve xa xvag xwma flac "
    "libgme libopenmpt alp argo_brp argo_cvg derf pp_bnk psxstr scd "
    # films
    "4xm asf asf_o avi avr av1 avs avs2 avs3 bethsoftvid bfi bink c93 cavsvideo cdxl cine dhav dirac dnxhd dsicin dv "
    "dxa ea evc film_cpk flic flv frm gdv gif gxf h261 h263 h264 hevc hnm idcin idf iff ifv ipmovie ipu iv8 ivf ivr "
    "jv live_flv lmlm4 luodat lvf lxf m4v matroska mgsts mjpeg mjpeg_2000 mlv mm moflex mov mods mp4 mpeg mpegts "
    "mpegtsraw mpegvideo mpjpeg mtv mv mvi mxf mxg nc nsv nut nuv obu pmp pva r3d redspark rl2 rm roq rpl sdr2 ser "
    "sga siff simbiosis_imx smjpeg smk smush swf thp tiertexseq tmv ty usm vc1 vc1test vidc vividas vivo vmd vvc "
    "wc3movie webm wsaud wsvqa wtv xmv xmd yop yuv4mpegpipe apng webp_anim apv bmv dfa hxvs kux "
    # single pictures, so that errors can tell them from unknown files
    "png_pipe jpeg_pipe webp_pipe bmp_pipe tiff_pipe gif_pipe"
)
WHITELIST = ",".join(_CONTAINERS.split())
PICTURES = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
"""What Pillow may open. Not EPS or PDF, which run other programs."""


def open_picture(file: Path | BinaryIO) -> Image.Image:
    """Open a picture of one of the formats :data:`PICTURES`; its pixels are not decoded yet.

    Raises:
        UnidentifiedImageError: it is none. Other errors are Pillow's own, of nearly any kind on damaged files.
    """
    from PIL import Image

    Image.init()
    return Image.open(file, formats=[name for name in PICTURES if name in Image.OPEN])


_SNIFFED_BYTES = 4096
_PLAYLISTS = (  # how texts that name other files begin, and what they are called
    (rb"#EXTM3U|#EXTINF|#EXT-X-", "an m3u8 playlist"),
    (rb"ffconcat\b", "a list of files (ffconcat)"),
    (rb"file\s+['\"\w/.\\]", "a list of files (concat)"),
    (rb"v=0\s*[\r\n]", "a description of a stream (sdp)"),
    (rb"\[playlist\]|\[reference\]", "a playlist (pls)"),
    (rb"(<\?xml.*?)?<(MPD|SmoothStreamingMedia|smil|asx|playlist|CompositionPlaylist|AssetMap)\b", "a playlist (xml)"),
    (rb"# VobSub index file", "an index of subtitles"),
    (rb"RTSPtext|SMILtext|rtsptext", "a link to a stream"),
)


def playlist(path: Path) -> str | None:
    """Return what kind of list of other files ``path`` is, by its first bytes; None when it does not look like one."""
    with path.open("rb") as file:
        text = file.read(_SNIFFED_BYTES)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = text.decode("utf-16", "replace").encode()
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    kinds = (kind for pattern, kind in _PLAYLISTS if re.match(pattern, text, re.DOTALL | re.IGNORECASE))
    return next(kinds, None)


@dataclass(frozen=True)
class SoundTrack:
    """One sound track as the header describes it.

    Attributes:
        stream: its number in the file, ffmpeg's ``0:stream``.
        number: its place among the sound tracks, from 1.
        default: whether the file asks players to take it.
        channels: how many; 0 when the header does not say.
    """

    stream: int
    number: int
    default: bool
    channels: int


_LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "2.1": 3, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}


def _channels(line: str) -> int:
    if found := re.search(r", (\d+) channels", line):
        return int(found[1])
    if found := re.search(r" Hz, (\d+)\.(\d+)(?:\.(\d+))?", line):  # 5.1, 7.1, 7.1.4
        return sum(int(part or 0) for part in found.groups())
    found = re.search(r" Hz, (\w+)", line)
    return _LAYOUTS.get(found[1], 0) if found else 0


def sound_tracks(header: str) -> list[SoundTrack]:
    """Return the sound tracks in the text of :func:`portrait_anim.system.ffmpeg.header` that ffmpeg can decode."""
    tracks: dict[int, SoundTrack] = {}
    number = 0
    for found in re.finditer(r"^\s*Stream #0:(\d+).*?: Audio: (\S+).*$", header, re.MULTILINE):
        stream = int(found[1])
        if stream in tracks:  # named again in another programme of a broadcast
            continue
        number += 1
        if found[2].strip(",") != "none":
            tracks[stream] = SoundTrack(stream, number, "(default)" in found[0], _channels(found[0]))
    return list(tracks.values())


def duration_s(header: str) -> float | None:
    """Return the duration (s) that the header gives, if any: that of the longest track, in some formats a guess."""
    found = re.search(r"^\s*Duration: (\d+):(\d+):([\d.]+)", header, re.MULTILINE)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def goes_on(path: Path) -> bool:
    """Return whether a second recording of the same kind follows in the file, after the end of the first."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data[:12]
        if start[:4] in (b"RIFF", b"FORM"):
            size = int.from_bytes(start[4:8], "little" if start[:4] == b"RIFF" else "big")
            end = 8 + size + size % 2
            after = data[end : end + 12]
            return after[:4] == start[:4] and after[8:] == start[8:]  # an AVI's later parts have another kind
        if start[4:8] == b"ftyp":
            return sum(kind == b"ftyp" for kind in _boxes(data)) > 1
        if start[:4] == b"FLV\x01":
            return len(re.findall(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0\0\0\0", data)) > 1
        return False


def is_several_mp3(path: Path) -> bool:
    """Whether the file holds more than one mp3's own first frame (LAME's "Info" or "Xing"), which is no sound."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return len(re.findall(rb"\xff[\xe2-\xff].{2}\0{9,36}(?:Xing|Info)\0", data, re.DOTALL)) > 1


def _boxes(data: mmap.mmap) -> Iterator[bytes]:
    """Yield the kinds of an mp4's outer boxes."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:  # the size follows the kind, in 8 bytes
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        yield kind
        if size < 8:  # 0: up to the end of the file
            return
        at += size
