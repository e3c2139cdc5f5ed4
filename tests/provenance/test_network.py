"""Nothing is fetched: strangers' files name a server of ours, which counts who asks."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import c2pa
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from test_provenance_manifest import _certificate

from portrait_anim import animate, verify
from portrait_anim.provenance.manifest import mime_type
from portrait_anim.provenance.metadata import append_xmp
from portrait_anim.provenance.record import Provenance
from portrait_anim.system.ffmpeg import ffmpeg_exe

pytestmark = pytest.mark.media

TONE = (np.sin(np.arange(8000) * 0.2).astype(np.float32) * 0.1, 16000)
PHOTOS = ("photo.jpg", "photo.png", "photo.webp", "photo.tiff", "photo.heic", "photo.avif")
FILMS = ("film.mp4", "film.mov")
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{url}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@dataclass
class Server:
    """A web server on this machine.

    Attributes:
        url: of something on it.
        asked: what was asked for, in order.
    """

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        made = Server(f"http://127.0.0.1:{http.server_port}/made.c2pa")
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield made
        http.shutdown()


@pytest.fixture(scope="module")
def folder(server: Server, small_astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos and films whose XMP names the server as the place of their manifest."""
    pillow_heif.register_heif_opener()
    made, xmp = tmp_path_factory.mktemp("strangers"), XMP.format(url=server.url)
    image = Image.open(small_astronaut).convert("RGB")
    text, tags = PngInfo(), ImageFileDirectory_v2()
    text.add_itxt("XML:com.adobe.xmp", xmp)
    tags[700], tags.tagtype[700] = xmp.encode(), 1
    image.save(made / "photo.png", pnginfo=text)
    image.save(made / "photo.tiff", tiffinfo=tags)
    for name in ("photo.jpg", "photo.webp", "photo.heic", "photo.avif"):
        image.save(made / name, xmp=xmp.encode())
    for name in FILMS:
        source = ["-f", "lavfi", "-i", "color=s=64x64:d=1", "-pix_fmt", "yuv420p"]
        subprocess.run([ffmpeg_exe(), "-v", "error", *source, str(made / name)], check=True)
        append_xmp(made / name, xmp)
    return made


def test_c2pa_by_itself_would_ask(server: Server, folder: Path) -> None:
    """Else the counts below would say nothing."""
    server.asked.clear()
    for name in ("photo.jpg", "photo.png", "photo.webp", "photo.tiff", "film.mp4"):
        with (folder / name).open("rb") as file, pytest.raises(c2pa.C2paError, match="Remote"):
            c2pa.Reader(mime_type(folder / name), file)
    assert len(server.asked) == 5


@pytest.mark.parametrize("name", [*PHOTOS, *FILMS])
def test_verify_asks_nobody(name: str, server: Server, folder: Path) -> None:
    server.asked.clear()
    found = verify(folder / name)
    assert server.asked == []
    assert not found.marked
    assert not found.manifest.present
    assert found.manifest.error is None
    if name in ("photo.heic", "photo.avif"):  # c2pa does not read XMP there
        assert "Signed manifest (C2PA): none" in found.summary()
    else:
        assert found.manifest.elsewhere == server.url
        assert f"none in the file; it names {server.url}, which is not fetched" in found.summary()


@pytest.mark.parametrize("name", PHOTOS)
def test_a_films_marks_ask_nobody(name: str, server: Server, folder: Path) -> None:
    server.asked.clear()
    marks = Provenance(folder / name, TONE, seed=0)
    assert server.asked == []
    if name not in ("photo.heic", "photo.avif"):
        assert marks.notes == (
            "the photo's C2PA manifest is not in its file, and nothing is fetched: the film goes without it",
        )


def test_animate_asks_nobody(server: Server, folder: Path, tmp_path: Path) -> None:
    server.asked.clear()
    film = animate(folder / "photo.jpg", TONE, tmp_path / "film.mp4").path
    assert verify(film).manifest.valid
    assert server.asked == []


def test_no_revocation_service_is_asked(server: Server, small_astronaut: Path, tmp_path: Path) -> None:
    chain, key = _certificate(tmp_path, ocsp=server.url)
    server.asked.clear()
    film = animate(small_astronaut, TONE, tmp_path / "film.mp4", sign_cert=chain, sign_key=key).path
    assert verify(film).manifest.valid
    assert server.asked == []
    with c2pa.Context.from_dict({"verify": {"ocsp_fetch": True}}) as context, film.open("rb") as file:
        c2pa.Reader("video/mp4", file, context=context).json()
    assert len(server.asked) > 0  # there is somebody to ask
