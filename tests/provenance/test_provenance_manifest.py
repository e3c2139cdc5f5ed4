"""Manifest, identity, metadata, verify: with the real c2pa, on real films."""

from __future__ import annotations

import argparse
import datetime
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import c2pa
import numpy as np
import pytest
from conftest import EXAMPLES
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from PIL import Image

from portrait_anim.cli import verify as verify_cli
from portrait_anim.errors import OptionError, OutputError, VideoError
from portrait_anim.provenance import identity, metadata
from portrait_anim.provenance.manifest import read_manifest, sign
from portrait_anim.provenance.record import Provenance, digest
from portrait_anim.provenance.verify import verify
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

TONE = (np.sin(np.arange(8000) * 0.2).astype(np.float32) * 0.1, 16000)
MODELS = {"motion_default": "ab" * 32}


@pytest.fixture(autouse=True, scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(identity.HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        patch.delenv("PORTRAIT_ANIM_AUDIT_LOG", raising=False)
        yield


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = next(iter(sorted(EXAMPLES.rglob("*mona*.jpg")) or sorted(EXAMPLES.rglob("*.jpg"))))
    path = tmp_path_factory.mktemp("photo") / "a_person_called_lisa.jpg"
    Image.open(source).convert("RGB").resize((384, 384)).save(path, quality=95)
    return path


def _make(photo: Path, film: Path, **options: Any) -> Provenance:
    provenance = Provenance(photo, TONE, seed=7, models=MODELS, **options)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    marker = provenance.marker(pixels, 25)
    size = (pixels.shape[1], pixels.shape[0])
    with Writer(
        film, size, 25, TONE, metadata=provenance.metadata, before_rename=provenance.finish, threads=1
    ) as writer:
        for i in range(12):
            writer.write(marker.mark(pixels, i))
    provenance.record(film)
    return provenance


@pytest.fixture(scope="module")
def made(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Provenance]:
    film = tmp_path_factory.mktemp("film") / "film.mp4"
    return film, _make(photo, film, emotion="happy")


def _store(film: Path) -> dict[str, Any]:
    with c2pa.Reader(str(film)) as reader:
        store: dict[str, Any] = json.loads(reader.json())
        assert reader.get_validation_state() == "Valid"
    return store


def test_c2pas_own_reader_finds_what_the_manifest_must_say(made: tuple[Path, Provenance], photo: Path) -> None:
    film, provenance = made
    store = _store(film)
    manifest = store["manifests"][store["active_manifest"]]
    data = {item["label"]: item["data"] for item in manifest["assertions"]}
    created, marked = data["c2pa.actions.v2"]["actions"]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert len(created["parameters"]["ingredients"]) == 2
    assert marked["action"] == "c2pa.watermarked"
    assert data["c2pa.soft-binding"]["blocks"][0]["value"] == f"9a{provenance.content_id:08x}"
    generation = data["org.portrait-anim.generation"]
    assert generation["photo_sha256"] == digest(photo)
    assert (generation["seed"], generation["emotion"]) == (7, "happy")
    assert generation["models"] == [{"name": "motion_default", "sha256": "ab" * 32}]
    assert [i["instance_id"] for i in manifest["ingredients"]] == [
        f"urn:sha256:{digest(photo)}",
        f"urn:sha256:{digest(TONE)}",
    ]
    assert manifest["claim_generator_info"][0]["name"] == "portrait_anim"


def test_no_name_of_the_photo_gets_in(made: tuple[Path, Provenance], photo: Path) -> None:
    data = made[0].read_bytes()
    assert b"lisa" not in data.lower()
    assert str(photo.parent).encode() not in data


def test_the_xmp_holds_chinas_seven_fields(made: tuple[Path, Provenance]) -> None:
    film, provenance = made
    data = film.read_bytes()
    start = data.index(b"<x:xmpmeta")
    packet = ElementTree.fromstring(data[start : data.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")])  # noqa: S314
    found = packet.find(".//{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC")
    assert found is not None
    fields = json.loads(found.text or "")
    assert list(fields) == list(metadata.AIGC_FIELDS)
    assert fields["Label"] == "1"
    assert fields["ProduceID"] == f"{provenance.content_id:08x}"


def test_verify_reads_every_layer(made: tuple[Path, Provenance]) -> None:
    film, provenance = made
    found = verify(film)
    assert found.manifest.valid
    assert not found.manifest.changed
    assert not found.manifest.trusted
    assert found.signed_here
    assert found.mark.content_id == provenance.content_id == found.manifest.content_id
    assert found.ids_agree
    assert found.metadata_type == "compositeWithTrainedAlgorithmicMedia"
    assert found.metadata_ours
    assert found.marked
    assert "unchanged" in found.summary()
    json.dumps(found.to_dict())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_changed_byte_in_the_picture_is_reported(made: tuple[Path, Provenance], tmp_path: Path, share: float) -> None:
    data = bytearray(made[0].read_bytes())
    start = data.index(b"mdat") + 8
    end = data.index(b"uuid", start) if b"uuid" in data[start:] else len(data)
    data[start + int((end - start) * share)] ^= 1
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data)
    found = read_manifest(changed)
    assert found.present
    assert found.changed
    assert not found.valid


def test_a_changed_xmp_is_reported(made: tuple[Path, Provenance], tmp_path: Path) -> None:
    data = made[0].read_bytes()
    at = data.index(b"CreatorTool")
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data[:at] + b"c" + data[at + 1 :])
    assert read_manifest(changed).changed


def test_a_stripped_film_keeps_its_mark(made: tuple[Path, Provenance], tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.mp4"
    command = [ffmpeg_exe(), "-v", "error", "-i", str(made[0]), "-map_metadata", "-1", "-bitexact", "-c", "copy"]
    subprocess.run([*command, str(stripped)], check=True)
    found = verify(stripped)
    assert not found.manifest.present
    assert found.metadata_type is None
    assert not found.metadata_ours
    assert found.mark.content_id == made[1].content_id
    assert found.marked
    assert found.ids_agree is None


def test_a_foreign_mark_under_a_manifest_is_told(made: tuple[Path, Provenance], photo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    _make(photo, other)
    sign(
        other,
        photo_hash="0" * 64,
        audio_hash="0" * 64,
        seed=1,
        emotion=None,
        models={},
        content_id=made[1].content_id,
        signer=identity.own_identity(),
    )
    found = verify(other)
    assert found.ids_agree is False
    assert "different films" in found.summary()


def test_the_same_inputs_give_the_same_id(made: tuple[Path, Provenance], photo: Path) -> None:
    assert Provenance(photo, TONE, seed=7, models=MODELS, emotion="happy").content_id == made[1].content_id
    assert Provenance(photo, TONE, seed=8, models=MODELS, emotion="happy").content_id != made[1].content_id


def test_every_further_source_is_named_by_its_hash(made: tuple[Path, Provenance], photo: Path, tmp_path: Path) -> None:
    more = {"actor": (np.zeros(3),), "morph": (np.ones(2), np.ones(4)), "motion": (np.ones(5),)}
    film = tmp_path / "film.mp4"
    provenance = _make(photo, film, more=more, emotion="happy")
    assert provenance.content_id != made[1].content_id
    found = verify(film)
    assert found.manifest.valid
    assert found.ids_agree
    named = {role: tuple(digest(source) for source in sources) for role, sources in more.items()}
    assert found.manifest.sources == named
    text = found.summary()
    assert all(hash_ in text for hashes_ in named.values() for hash_ in hashes_)
    assert "One person's performance, recorded in a video, moves the face of the person in the photo." in text
    with c2pa.Reader("video/mp4", film.open("rb")) as reader:
        stored = json.loads(reader.json())
    active = stored["manifests"][stored["active_manifest"]]
    titles = [ingredient["title"] for ingredient in active["ingredients"]]
    assert titles == ["photo", "sound", "actor's video", "morph photo", "morph photo", "motion file"]


def test_plain_films_name_no_further_sources(made: tuple[Path, Provenance]) -> None:
    found = verify(made[0])
    assert found.manifest.sources == {}
    assert not found.manifest.performed
    assert "performance" not in found.summary()


def test_a_silent_film_has_no_sound_among_its_sources(photo: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    provenance = Provenance(photo, None, seed=7, models=MODELS)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    marker = provenance.marker(pixels, 25)
    with Writer(film, (384, 384), 25, before_rename=provenance.finish, metadata=provenance.metadata) as writer:
        for i in range(25):
            writer.write(marker.mark(pixels, i))
    with c2pa.Reader("video/mp4", film.open("rb")) as reader:
        stored = json.loads(reader.json())
    active = stored["manifests"][stored["active_manifest"]]
    assert [ingredient["title"] for ingredient in active["ingredients"]] == ["photo"]
    assert verify(film).manifest.valid


def test_a_photos_own_manifest_is_kept_and_told(photo: Path, tmp_path: Path) -> None:
    me = identity.own_identity()
    created = {"action": "c2pa.created", "digitalSourceType": metadata.SOURCE_TYPES + "trainedAlgorithmicMedia"}
    definition = {
        "claim_generator_info": [{"name": "painter", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }
    signed = tmp_path / "lisa_signed.jpg"
    info = c2pa.C2paSignerInfo(me.algorithm, me.chain, me.key, None)
    with photo.open("rb") as source, signed.open("w+b") as target, c2pa.Builder(definition) as builder:
        builder.sign(c2pa.Signer.from_info(info), "image/jpeg", source, target)
    film = tmp_path / "film.mp4"
    provenance = _make(signed, film)
    assert any("kept" in note for note in provenance.notes)
    assert any("trainedAlgorithmicMedia" in note for note in provenance.notes)
    store = _store(film)
    assert len(store["manifests"]) == 2
    names = {m["claim_generator_info"][0]["name"] for m in store["manifests"].values()}
    assert names == {"painter", "portrait_anim"}
    assert "lisa_signed" not in json.dumps(store)


def test_the_own_key_is_private_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(identity.HOME_VARIABLE, str(tmp_path / "fresh"))
    with ProcessPoolExecutor(4) as pool:
        chains = {future.result() for future in [pool.submit(_chain) for _ in range(8)]}
    assert len(chains) == 1
    key = tmp_path / "fresh" / "signing" / "key.pem"
    if sys.platform != "win32":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [p.name for p in (tmp_path / "fresh").iterdir()] == ["signing"]


def _chain() -> bytes:
    return identity.own_identity().chain


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(identity.HOME_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(OutputError, match="PORTRAIT_ANIM_HOME"):
        identity.own_identity()


def _certificate(
    folder: Path, *, days: int = 30, password: bytes | None = None, ocsp: str | None = None
) -> tuple[Path, Path]:
    """A self-issued end certificate with its root, as a user would bring them; ``ocsp``: who knows of revocations."""
    now = datetime.datetime.now(datetime.UTC)
    start = now - datetime.timedelta(days=60)
    root_key, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A studio")])
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A studio"), x509.NameAttribute(NameOID.COMMON_NAME, "films")]
    )
    builder = x509.CertificateBuilder().issuer_name(root_name).not_valid_before(start)
    builder = builder.not_valid_after(now + datetime.timedelta(days=days))
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = builder.subject_name(name).public_key(key.public_key()).serial_number(7)
    leaf = leaf.add_extension(x509.BasicConstraints(False, None), True).add_extension(authority, False)
    leaf = leaf.add_extension(identity._usage(signs_certificates=False), True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    if ocsp is not None:
        service = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp))
        leaf = leaf.add_extension(x509.AuthorityInformationAccess([service]), False)
    root = builder.subject_name(root_name).public_key(root_key.public_key()).serial_number(8)
    root = root.add_extension(x509.BasicConstraints(True, 0), True)
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(
        b"".join(c.sign(root_key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM) for c in (leaf, root))
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    return chain, secret


def test_the_users_own_certificate_signs(photo: Path, tmp_path: Path) -> None:
    chain, key = _certificate(tmp_path)
    film = tmp_path / "film.mp4"
    _make(photo, film, sign_cert=chain, sign_key=key)
    found = verify(film)
    assert found.manifest.valid
    assert "A studio" in found.manifest.signer
    assert not found.signed_here


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    chain, key = _certificate(tmp_path)
    with pytest.raises(OptionError, match="both"):
        identity.load_identity(chain, None)
    with pytest.raises(OptionError, match="both"):
        identity.load_identity(None, key)
    with pytest.raises(OptionError, match="not found"):
        identity.load_identity(chain, tmp_path / "missing.pem")
    with pytest.raises(OptionError, match="not a PEM file"):
        identity.load_identity(key, key)
    with pytest.raises(OptionError, match="not a PEM file of a private key"):
        identity.load_identity(chain, chain)
    (tmp_path / "other").mkdir()
    with pytest.raises(OptionError, match="does not belong"):
        identity.load_identity(chain, _certificate(tmp_path / "other")[1])
    with pytest.raises(OptionError, match="encrypted"):
        identity.load_identity(*_certificate(tmp_path, password=b"secret"))
    with pytest.raises(OptionError, match="expired"):
        identity.load_identity(*_certificate(tmp_path, days=-1))


def test_the_audit_log_is_opt_in_and_local(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "films.jsonl"
    _make(photo, tmp_path / "a.mp4")
    assert not log.exists()
    monkeypatch.setenv("PORTRAIT_ANIM_AUDIT_LOG", str(log))
    made = _make(photo, tmp_path / "b.mp4")
    _make(photo, tmp_path / "c.mp4", audit_log=log)
    first, second = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert first["content_id"] == f"{made.content_id:08x}" == second["content_id"]
    assert first["film"] == str(tmp_path / "b.mp4")
    with pytest.raises(OutputError, match="audit log"):
        _make(photo, tmp_path / "d.mp4", audit_log=tmp_path / "nowhere" / "log")
    assert not (tmp_path / "d.mp4").exists()


def test_xmp_of_other_programs_is_read(photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    for text in (
        'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"',
        "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia</",
    ):
        path.write_bytes(photo.read_bytes() + text.encode())
        assert metadata.source_type(path) == "trainedAlgorithmicMedia"
    path.write_bytes(
        photo.read_bytes() + b'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"'
    )
    assert metadata.source_type(path) is None


def _cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    verify_cli.add_arguments(parser)
    status = verify_cli.run(parser.parse_args(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_line(
    made: tuple[Path, Provenance], photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = _cli(capsys, str(made[0]))
    assert status == verify_cli.MARKED
    assert "made by portrait_anim" in out
    status, out, _ = _cli(capsys, "--json", str(made[0]))
    assert json.loads(out)["mark"]["content_id"] == f"{made[1].content_id:08x}"
    status, out, _ = _cli(capsys, str(photo))
    assert status == verify_cli.NOT_FOUND
    assert "proves nothing" in out
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film at all")
    for path in (broken, tmp_path / "missing.mp4", tmp_path):
        status, out, err = _cli(capsys, str(path))
        assert (status, out) == (verify_cli.UNREADABLE, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1


def test_a_cut_off_picture_is_told(photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    Image.open(photo).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(VideoError, match="damaged"):
        verify(cut)
