"""Where the frames of a live face go beside a pipe or a page: a signed film, a virtual camera."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from portrait_anim.config import FPS
from portrait_anim.errors import DependencyError, OutputError
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame
from portrait_anim.video.recorder import Recorder


class LiveRecording:
    """Keeps what a live face shows and says as a film: marked, signed when its block ends; a context manager.

    Args:
        face: whose frames it gets.
        path: ending in .mp4.
        overwrite: replace a film that is there.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, face: LiveFace, path: str | Path, *, overwrite: bool = False) -> None:
        self._face = face
        self._film = Recorder(
            Path(path), face.size, face.sample_rate, overwrite=overwrite, metadata=face.provenance.metadata,
            before_rename=face.provenance.finish_live,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._film.__enter__()
        return self

    def write(self, frame: LiveFrame) -> None:
        """Append a frame.

        Raises:
            OutputError: the encoder ended, or the disk is full.
        """
        self._film.write(None if frame.pixels is None else frame.pixels[..., :3], frame.samples)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._film.__exit__(kind, error, traceback)
        if kind is None:
            self._face.provenance.record(self._film.path)


class VirtualCamera:
    """Shows a live face in a camera that other programs see, by pyvirtualcam; a context manager. It has no sound.

    Args:
        size: (width, height) of the frames in px.

    Raises:
        DependencyError: the extra ``camera`` is missing.
        OutputError: there is no virtual camera on this machine.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        try:
            import pyvirtualcam
        except ImportError as e:
            raise DependencyError("a virtual camera needs a package more: pip install 'portrait-anim[camera]'") from e
        try:
            self._camera = pyvirtualcam.Camera(*size, FPS, fmt=pyvirtualcam.PixelFormat.RGB)
        except (RuntimeError, OSError) as e:
            reason = " ".join(str(e).split())
            raise OutputError(
                f"there is no virtual camera ({reason}): install OBS (Windows, macOS) or v4l2loopback (Linux), or send "
                "--output - to a program"
            ) from e

    @property
    def device(self) -> str:
        """What programs call it."""
        return str(self._camera.device)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: LiveFrame) -> None:
        """Show a frame."""
        if frame.pixels is not None:
            self._camera.send(frame.pixels[..., :3])

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RuntimeError):
            self._camera.close()
