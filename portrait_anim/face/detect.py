"""Makes the backend that finds faces, by name."""

from __future__ import annotations

from functools import cache
from threading import Lock

from portrait_anim.errors import OptionError
from portrait_anim.face.types import Landmarker
from portrait_anim.options import LANDMARKERS
from portrait_anim.system.torch_guard import check_fork, undrawn


def make_landmarker(name: str = "facemesh", device: str = "cpu") -> Landmarker:
    """Build the backend called ``name``.

    Raises:
        OptionError: unknown name.
        DependencyError: the backend's library or weights are not on this machine.
    """
    if name == "facemesh":
        from portrait_anim.face.facemesh import FacemeshLandmarker

        return FacemeshLandmarker()
    if name == "face-alignment":
        from portrait_anim.face.face_alignment import FaceAlignmentLandmarker

        return FaceAlignmentLandmarker(device)
    raise OptionError(f"unknown landmarker {name!r}: choose one of {', '.join(LANDMARKERS)}")


_loading = Lock()
_loaded = cache(make_landmarker)


def shared_landmarker(name: str = "facemesh") -> Landmarker:
    """Return the backend called ``name``, on the processor, loaded once a process.

    Raises:
        ForkError: ``face-alignment`` would hang in this process.
        OptionError, DependencyError: as of :func:`make_landmarker`.
    """
    with _loading:
        if name == "facemesh":  # needs no torch
            return _loaded(name)
        check_fork()
        with undrawn():
            return _loaded(name)
