"""How data sets name their files: GRID, CREMA-D, RAVDESS, TCD-TIMIT, LRS, our own, or any folder of people.

The data set is recognised from the file names, file by file, so a folder may hold several data sets. It tells who
speaks in a clip. Licences are stated as on the data sets' own pages; read them before you train.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portrait_anim.errors import DataError

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".flv"}


@dataclass(frozen=True)
class ClipInfo:
    """Facts of one clip.

    Attributes:
        id: unique name, from its path.
        path: the video.
        person: who speaks; people are never split between train and val except where an index says so.
        split: ``train`` or ``val``.
        language: two letters, or empty.
        licence: of the clip.
        lag_frames: how many frames (25 fps) the picture comes later than the sound; None when unknown.
        checked: whether somebody has checked that sound and picture belong together.
    """

    id: str
    path: str
    person: str
    split: str
    language: str
    licence: str
    lag_frames: int | None
    checked: bool = False

    @property
    def free(self) -> bool:
        """Whether the clip may train the ``open`` weights (data free for any use)."""
        return self.person.startswith("grid_s") or self.licence == "US federal work"


@dataclass(frozen=True)
class Layout:
    """How one data set names its files.

    Attributes:
        pattern: of the path below the data folder, with ``/``, without its suffix; its group ``person`` is who speaks.
        name: goes before the person.
        licence: of the data.
        language: two letters.
        leave: pattern of the same path for files to leave out: no frontal picture, or no sound.
    """

    name: str
    pattern: re.Pattern[str]
    licence: str
    language: str = "en"
    leave: re.Pattern[str] | None = None


LAYOUTS = (
    Layout("grid", re.compile(r"(^|/)(?P<person>s\d+)/(video/)?[blps][bgrw][abiw][a-z][0-9zs][anps]$"), "CC BY 4.0"),
    Layout("cremad", re.compile(r"(^|/)(?P<person>\d{4})_[A-Z]{3}_[A-Z]{3}_[LMHX][ODIX]?$"), "ODbL 1.0"),
    Layout(
        "ravdess", re.compile(r"(^|/)0[123](-\d\d){5}-(?P<person>\d\d)$"), "CC BY-NC-SA 4.0",
        leave=re.compile(r"(^|/)0[23](-\d\d){6}$"),  # 02: no sound, 03: no picture
    ),
    Layout(
        "tcdtimit", re.compile(r"(^|/)(?P<person>\d\d[MF]T?)/Clips/\w+/\w+$"), "TCD-TIMIT: research only",
        leave=re.compile(r"/30degcam/"),
    ),
    Layout("lrs", re.compile(r"(^|/)(main|pretrain|trainval|test)/(?P<person>[\w-]+)/\d{5}$"), "LRS: research only"),
)  # fmt: skip


def find_clips(folder: Path) -> list[ClipInfo]:
    """List the clips of a data folder: ours (grid_s1 + av_multi), a known data set's, or any, a subfolder a person.

    Raises:
        DataError: no clip there.
    """
    if (folder / "av_multi" / "index.csv").is_file():
        clips = list(_shared_layout(folder))
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        clips = [clip for path in files if (clip := _clip(path, folder)) is not None]
    if not clips:
        raise DataError(f"no video clips in {folder}: name a folder of talking-head clips")
    return clips


def _clip(path: Path, folder: Path) -> ClipInfo | None:
    """Return the facts in a file's name; None for a file to leave out (see ``Layout.leave``)."""
    below = path.relative_to(folder).with_suffix("").as_posix()
    whole = f"{folder.name}/{below}"  # the folder itself may be the person's
    for layout in LAYOUTS:
        found = layout.pattern.search(whole)
        if found is None:
            continue
        if layout.leave is not None and layout.leave.search(whole):
            return None
        person = f"{layout.name}_{found['person']}"
        split = "val" if re.search(r"(^|/)test/", whole) else "train"
        return ClipInfo(_clip_id(path, folder), str(path), person, split, layout.language, layout.licence, None)
    return ClipInfo(_clip_id(path, folder), str(path), path.parent.name, "train", "", "not stated", None)


def _clip_id(path: Path, folder: Path) -> str:
    return "__".join(path.relative_to(folder).with_suffix("").parts)


def _shared_layout(folder: Path) -> Iterator[ClipInfo]:
    listed = set()  # av_multi's index names some files of tv160 under several people: the first counts
    with (folder / "av_multi" / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = folder / "av_multi" / row["file"]
            if path in listed:
                continue
            listed.add(path)
            lag = int(row["lag_frames"]) if row["lag_frames"] else None
            yield ClipInfo(
                _clip_id(path, folder), str(path), row["person"], row["split"], row["language"], row["licence"], lag,
                checked=True,
            )  # fmt: skip
    with (folder / "grid_s1" / "words.csv").open(encoding="utf-8") as file:
        splits = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    for name, split in sorted(splits.items()):
        path = folder / "grid_s1" / f"{name}.mp4"
        if path.is_file():
            yield ClipInfo(
                _clip_id(path, folder), str(path), "grid_s1", split, "en", "CC BY 4.0", 0, checked=True
            )  # fmt: skip
