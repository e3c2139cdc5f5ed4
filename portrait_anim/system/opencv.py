"""The one place that imports OpenCV, so that a machine without its system libraries gets one clear line.

Measured on the 4.14.0.94 wheels for Linux: ``opencv-python`` (which face-alignment asks for, with windows and Qt) needs
libGL.so.1, libglib-2.0.so.0, libgthread-2.0.so.0 and libxcb.so.1 from the system, ``opencv-python-headless`` none of
them. Both install the folder ``cv2``, so only one build may be in an environment.
"""

from __future__ import annotations

import sys
from importlib import metadata

from portrait_anim.errors import DependencyError

BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def builds() -> dict[str, str]:
    """Return the OpenCV builds that are installed, with their versions; more than one overwrite each other."""
    found = {}
    for name in BUILDS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def explain(error: ImportError) -> DependencyError:
    """Return the one-line error for an import of cv2 that failed."""
    installed = builds()
    if isinstance(error, ModuleNotFoundError) and not installed:
        return DependencyError(f"OpenCV is not installed: {sys.executable} -m pip install 'opencv-python>=4.10,<5'")
    name, version = next(iter(installed.items()), ("opencv-python", "4.14.0.94"))
    pip = f"{sys.executable} -m pip"
    return DependencyError(
        f"OpenCV does not load ({' '.join(str(error).split())}): apt-get install -y libgl1 libglib2.0-0, or without "
        f"system packages: {pip} uninstall -y {name} && {pip} install --no-deps opencv-python-headless=={version}"
    )


try:
    import cv2
except ImportError as e:
    raise explain(e) from e

__all__ = ["builds", "cv2", "explain"]
