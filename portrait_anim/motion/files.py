"""Motion in files: npz, which keeps all of it, and csv, which other tools read and write."""

from __future__ import annotations

import contextlib
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.errors import MotionError, OptionError, OutputError
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit_shapes import SHAPES
from portrait_anim.motion.livelink import RATE_RANGE, read_csv, write_csv
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.system.files import check_target, hidden_name, printable, readable_file

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".csv")
MAX_BYTES = 3 << 30  # that an npz unpacks to; 3 hours of motion with a mesh are 1.5 GB
FORMAT, VERSION = "portrait_anim motion", 1
PARTS = ("format", "version", "fps", "basis", "turned_eyes", *Motion.rest(0).tracks())
WIDTHS = {"blink": 2, "brows": 2, "gaze": 2, "rotation": 3, "shift": 3}  # columns of the (T, n) tracks


def read_motion(path: str | os.PathLike[str], space: MotionSpace) -> Motion:
    """Read a motion file.

    Args:
        path: an .npz that :class:`MotionFiles` wrote, or a csv, see :mod:`portrait_anim.motion.livelink`.
        space: of the weights that the film uses; an npz with another space's mouth is refused.

    Raises:
        MotionError: missing, empty, not such a file, damaged, or made with other weights.
        OptionError: another kind of name.
    """
    kind = _kind(path)
    file = readable_file(path, MotionError, "motion")
    if kind == ".npz":
        return _read_npz(file, space)
    take = read_csv(file)
    return Motion.from_arkit(take.values, take.fps)


def _kind(path: str | os.PathLike[str]) -> str:
    kind = Path(path).suffix.lower()
    if kind not in SUFFIXES:
        raise OptionError(f"motion {printable(path)}: the name must end in {' or '.join(SUFFIXES)}")
    return kind


def _read_npz(path: Path, space: MotionSpace) -> Motion:
    name = printable(path)
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MAX_BYTES:
            raise MotionError(f"motion {name} unpacks to {size >> 20} MB: give one of at most {MAX_BYTES >> 20} MB")
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, npt.NDArray[Any]] = {part: archive[part] for part in PARTS if part in archive}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # numpy gives other members as bytes
            raise TypeError("a part is no array")
    except MotionError:
        raise
    except Exception as e:  # zip files and arrays that strangers made raise nearly anything
        raise MotionError(f"motion {name} is no npz of numbers, or damaged: save it again with --save-motion") from e
    if str(arrays.get("format")) != FORMAT:
        raise MotionError(f"motion {name} holds something else: give an npz that --save-motion wrote")
    if str(arrays.get("version")) != str(VERSION):
        raise MotionError(
            f"motion {name} has version {arrays.get('version')} of the format, not {VERSION}: save it again"
        )
    try:
        fps = float(arrays["fps"])
        arrays.setdefault("breath", np.zeros(len(arrays["mouth"]), np.float32))  # files of earlier versions have none
        tracks = {part: arrays[part] for part in Motion.rest(0).tracks()}
    except (KeyError, TypeError, ValueError) as e:
        raise MotionError(f"motion {name} lacks a part ({e}): save it again with --save-motion") from e
    if not RATE_RANGE[0] <= fps <= RATE_RANGE[1]:
        raise MotionError(f"motion {name} has {fps:g} frames/s: give {RATE_RANGE[0]:g} to {RATE_RANGE[1]:g}")
    _check_tracks(tracks, name, space)
    if tracks["mouth"].any() and str(arrays.get("basis")) != space.digest:
        raise MotionError(
            f"motion {name} was made with other weights: use the same --weights, or a csv, which any weights play"
        )
    return Motion(**tracks, fps=fps, turned_eyes=bool(np.any(arrays.get("turned_eyes", False))))


def _check_tracks(tracks: dict[str, npt.NDArray[Any]], name: str, space: MotionSpace) -> None:
    """Raise MotionError unless all tracks are float32, equally long, as wide as they should be, and finite."""
    n_frames = len(tracks["mouth"]) if tracks["mouth"].ndim == 2 else 0
    if n_frames == 0:
        raise MotionError(f"motion {name} has no frames: save it again with --save-motion")
    allowed: dict[str, list[tuple[int, ...]]] = {part: [(n_frames, width)] for part, width in WIDTHS.items()}
    allowed["mouth"] = [(n_frames, space.n_components)]
    allowed["expression"] = [(n_frames, width) for width in (0, len(TRACKS), len(TRACKS) + len(SHAPES))]
    allowed["breath"] = [(n_frames,)]
    allowed["mesh"] = [(n_frames, n_points, 3) for n_points in (0, N_LANDMARKS)]
    for part, track in tracks.items():
        if track.dtype != np.float32 or track.shape not in allowed[part]:
            raise MotionError(
                f"motion {name}: {part} is {track.shape} {track.dtype}, expected {allowed[part][-1]} float32"
            )
        if not np.isfinite(track).all():
            raise MotionError(f"motion {name}: {part} is not finite everywhere (NaN or infinity): repair it")


class MotionFiles:
    """Motion saved beside a film: a context manager whose files get their names when its block ends well.

    Args:
        path: of one face, .npz or .csv; several faces get NAME-1.npz, NAME-2.npz, ...
        n_faces: how many move.
        overwrite: replace files that are there.
        inputs: files that may not be written over.

    Raises:
        OptionError: another kind of name.
        OutputError: a file is there already, is one of the inputs, or the folder cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], n_faces: int, *, overwrite: bool = False, inputs: Sequence[Any] = ()
    ) -> None:
        self._kind = _kind(path)
        given = Path(path)
        names = [given] if n_faces == 1 else [given.with_stem(f"{given.stem}-{i + 1}") for i in range(n_faces)]
        self.paths = [_check_target(name, inputs, overwrite=overwrite) for name in names]
        self._written: list[tuple[Path, Path]] = []

    def __enter__(self) -> Self:
        return self

    def write(self, motions: Sequence[Motion], space: MotionSpace) -> None:
        """Write a motion for each face, under temporary names.

        Raises:
            OutputError: no space, no permission.
        """
        if self._kind == ".csv":
            also = (
                " and the head's shift and breathing are left out"
                if any(motion.shift.any() for motion in motions)
                else ""
            )
            logger.info("%s: cheek puff and tongue are 0%s; an .npz keeps everything", printable(self.paths[0]), also)
        for motion, path in zip(motions, self.paths, strict=True):
            temporary = hidden_name(path)
            self._written.append((temporary, path))
            try:
                if self._kind == ".csv":
                    with temporary.open("w", encoding="utf-8", newline="") as file:
                        write_csv(file, motion.to_arkit(space), motion.fps)
                else:
                    tag = {"format": FORMAT, "version": VERSION, "fps": motion.fps, "basis": space.digest}
                    if motion.turned_eyes:
                        tag["turned_eyes"] = True
                    np.savez_compressed(temporary, **tag, **motion.tracks())  # type: ignore[arg-type]
            except OSError as e:
                raise OutputError(f"cannot write {printable(path)} ({e.strerror}): free some space there") from e

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for temporary, path in self._written if kind is None else ():
                try:
                    temporary.replace(path)
                except OSError as e:
                    raise OutputError(f"cannot write {printable(path)} ({e.strerror}): choose another name") from e
        finally:
            for temporary, _ in self._written:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)


def _check_target(path: Path, inputs: Sequence[Any], *, overwrite: bool) -> Path:
    for given in inputs:
        with contextlib.suppress(OSError, ValueError):
            if isinstance(given, (str, os.PathLike)) and path.samefile(given):
                raise OutputError(f"{printable(path)} is read for this film: save the motion under another name")
    return check_target(path, overwrite=overwrite)
