"""What a film can be written as: mp4, and for frames with opacity WebM, ProRes 4444 or a folder of PNG."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from portrait_anim.errors import OutputError
from portrait_anim.system.files import check_target, printable

SUFFIX = ".mp4"
PRESET = "veryfast"
CRF = 16  # quality; with veryfast as many bytes as medium at 18, looks like fast at 18, in half of medium's time
AUDIO_BITRATE = "192k"
VP9_CRF, VP9_SPEED = 18, 7  # quality; 0 slow to 8 fast, as in calls: in a quarter of "good"'s time a quarter more bytes
OPUS_BITRATE = "160k"
PRORES_ALPHA_BITS = 8  # of 0, 8 and 16; a frame's opacity has 8
PNG_LEVEL = 3  # of 0 to 9: in a third of the usual time a tenth more bytes
PNG_NAME, SOUND_NAME = "frame_%06d.png", "sound.wav"  # in a folder
OWN_NAMES = re.compile(r"frame_\d{6,}\.png|sound\.wav", re.ASCII)

# Full-range RGB to limited-range BT.709, as the tags then say.
SCALE = "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp"
COLOUR_TAGS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")


@dataclass(frozen=True)
class Format:
    """One way to write a film.

    Attributes:
        suffix: of its name; "" is a folder of pictures.
        channels: of the frames: 3, or 4 with opacity.
        even: whether an odd width or height is padded.
        picture: ffmpeg's arguments for the pictures.
        sound: ffmpeg's arguments for the sound.
        container: ffmpeg's last arguments, before the file's name.
        captions: ffmpeg's arguments for a subtitle track; (): it has none.
        beside: suffix of the file that holds the signed manifest where the film has no place for it; "": it has.
    """

    suffix: str
    channels: int
    even: bool
    picture: tuple[str, ...]
    sound: tuple[str, ...]
    container: tuple[str, ...]
    captions: tuple[str, ...] = ("-c:s", "mov_text", "-disposition:s:0", "default")
    beside: str = ""

    @property
    def folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return not self.suffix


COLOUR_FILTER = f"{SCALE},format=yuv420p"
MP4 = Format(
    SUFFIX, 3, True,
    ("-vf", COLOUR_FILTER, "-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), *COLOUR_TAGS),
    ("-c:a", "aac", "-b:a", AUDIO_BITRATE), ("-movflags", "+faststart", "-f", "mp4"),
)  # fmt: skip
WEBM = Format(
    ".webm", 4, True,
    ("-vf", f"{SCALE},format=yuva420p", "-c:v", "libvpx-vp9", "-crf", str(VP9_CRF), "-b:v", "0", "-deadline",
     "realtime", "-cpu-used", str(VP9_SPEED), "-row-mt", "1", "-auto-alt-ref", "0", *COLOUR_TAGS),
    ("-c:a", "libopus", "-b:a", OPUS_BITRATE), ("-f", "webm"),
    ("-c:s", "webvtt", "-disposition:s:0", "default"), ".c2pa",
)  # fmt: skip
MOV = Format(
    ".mov", 4, False,
    ("-vf", f"{SCALE},format=yuva444p10le", "-c:v", "prores_ks", "-profile:v", "4444", "-alpha_bits",
     str(PRORES_ALPHA_BITS), "-vendor", "apl0", *COLOUR_TAGS),
    ("-c:a", "pcm_s16le"), ("-movflags", "+faststart", "-f", "mov"),
)  # fmt: skip
PNGS = Format(
    "", 4, False, ("-c:v", "png", "-pred", "paeth", "-compression_level", str(PNG_LEVEL)), ("-c:a", "pcm_s16le"),
    ("-f", "image2"), (),
)  # fmt: skip
TRANSPARENT = "NAME.webm (VP9), NAME.mov (ProRes 4444), or the name of a folder, without an ending, for PNG pictures"


def format_of(path: str | os.PathLike[str], *, transparent: bool = False) -> Format:
    """Return what a name stands for.

    Raises:
        OutputError: no film is written under such a name.
    """
    suffix = Path(path).suffix.lower()
    if not transparent:
        if suffix != SUFFIX:
            raise OutputError(f"cannot write {printable(path)}: the name must end in {SUFFIX}")
        return MP4
    for kind in (WEBM, MOV):
        if suffix == kind.suffix:
            return kind
    if not suffix:
        return PNGS
    raise OutputError(f"cannot write {printable(path)} with background none: give {TRANSPARENT}")


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False, transparent: bool = False) -> Path:
    """Return ``path`` as a Path when a film may be written there. Cheap: call it before long work.

    Raises:
        OutputError: not such a name, the folder is missing or not writable, the file exists and ``overwrite`` is not
            set, or a folder has that name (or holds anything but frames of a film, where a folder is written).
    """
    kind = format_of(path, transparent=transparent)
    target = Path(path)
    if kind.beside:
        check_target(target.with_suffix(kind.beside), overwrite=overwrite)
    if not kind.folder or not target.is_dir():
        return check_target(path, overwrite=overwrite)
    check_target(target / SOUND_NAME, overwrite=True)
    try:
        names = [file.name for file in target.iterdir()]
    except OSError as e:
        raise OutputError(f"cannot write {printable(path)} ({e.strerror}): choose another name") from e
    if not all(OWN_NAMES.fullmatch(name) for name in names):
        raise OutputError(f"cannot write {printable(path)}: the folder holds other files, choose another name")
    if names and not overwrite:
        raise OutputError(f"{printable(path)} exists already: choose another name, or allow --force (overwrite=True)")
    return target
