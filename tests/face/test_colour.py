"""Colour spaces told in every way, judged by the pixels that come out; files without their end."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageCms, TiffImagePlugin

from portrait_anim.errors import PhotoError
from portrait_anim.face.colour import UNUSABLE
from portrait_anim.face.icc import BT709, D50, Curve, Points, hlg_light, matrix_profile, pq_light, srgb_light
from portrait_anim.face.photo import load_photo

pytestmark = pytest.mark.media

CASES = ROOT.parent / "shared" / "cases"
P3 = ((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.3127, 0.3290), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
COLOURS = np.array(
    [[205, 160, 140], [90, 60, 45], [128, 128, 128], [200, 70, 60], [70, 140, 80], [40, 60, 120], [250, 250, 250]]
)  # sRGB: skin, dark skin, grey, lips, leaves, cloth, paper


def linear(levels: np.ndarray) -> np.ndarray:
    return np.asarray(srgb_light(levels / 255.0))


def to_xyz(points: Points) -> np.ndarray:
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    return xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])


def encoded(points: Points, light: Curve, colours: np.ndarray = COLOURS) -> np.ndarray:
    """What sRGB ``colours`` (N, 3) are written as in another space (with D65's white), found by a table's inverse."""
    there = linear(colours) @ (np.linalg.inv(to_xyz(points)) @ to_xyz(BT709)).T
    levels = np.arange(256) / 255
    return np.abs(light(levels)[:, None, None] - there).argmin(axis=0).astype(np.uint8)


def patches(colours: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(np.repeat(colours[None].astype(np.uint8), 48, axis=0), 48, axis=1))


def shown(path: Path) -> np.ndarray:
    return load_photo(path).pixels[24, 24::48].astype(int)


def check(path: Path, tolerance: float = 4.0) -> None:
    photo = load_photo(path)
    assert np.abs(photo.pixels[24, 24::48].astype(int) - COLOURS).max() <= tolerance
    assert len(photo.notes) == 1
    assert photo.notes[0].startswith("colours converted from ")


def named(profile: bytes, name: str) -> bytes:
    """The profile under another name, of at most 17 letters."""
    assert b"told by the file\0" in profile
    return profile.replace(b"told by the file\0", name.encode().ljust(17, b"\0"))


def with_chunks(path: Path, *chunks: tuple[bytes, bytes]) -> None:
    """Put chunks into a PNG, after its header."""
    data = path.read_bytes()
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(data[:33] + added + data[33:])


def chrm(points: Points) -> bytes:
    return struct.pack(">8I", *(round(100_000 * value) for point in points for value in point))


@pytest.mark.parametrize("name", ["sRGB", "P3 with sRGB TRC", "linear sRGB"])
@pytest.mark.parametrize(("points", "power"), [(P3, None), (ADOBE, 2.2), (BT709, 1.8), (P3, 2.6)])
def test_a_profile_is_judged_by_what_it_does(tmp_path: Path, name: str, points: Points, power: float | None) -> None:
    light = srgb_light if power is None else lambda x: x**power
    profile = named(matrix_profile(points, light), name)
    patches(encoded(points, light)).save(tmp_path / "photo.png", icc_profile=profile)
    check(tmp_path / "photo.png")
    assert name in load_photo(tmp_path / "photo.png").notes[0]


def coarse(profile: bytes, n_points: int) -> bytes:
    """The profile with a curve of few points, as the smallest sRGB profiles of the web have."""
    points = np.linspace(0, 1, n_points)
    levels = np.rint(65535 * srgb_light(points)).astype(">u2").tobytes()
    start = profile.index(b"curv")
    curve = b"curv" + bytes(4) + struct.pack(">I", n_points) + levels
    return profile[:start] + curve + profile[start + len(curve) :]


def parametric(profile: bytes) -> bytes:
    """The profile with its curve as version 4's formula."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    curve = b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, *(round(65536 * value) for value in numbers))
    start = profile.index(b"curv")
    data = bytearray(profile[:start] + curve + profile[start + len(curve) :])
    data[8] = 4
    return bytes(data)


@pytest.mark.parametrize("kind", ["lcms", "table", "26 points", "42 points", "version 4", "rounded"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_srgb_in_its_many_forms_leaves_the_numbers_alone(tmp_path: Path, kind: str, mode: str) -> None:
    own = matrix_profile(BT709, srgb_light)
    profile = {
        "lcms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "table": own,
        "26 points": coarse(own, 26),
        "42 points": coarse(own, 42),
        "version 4": parametric(own),
        "rounded": named(
            matrix_profile(((0.3127, 0.329), (0.639, 0.331), (0.301, 0.599), (0.15, 0.06)), srgb_light), "c2"
        ),
    }[kind]
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = Image.fromarray(picture).convert(mode)
    image.save(tmp_path / "photo.png", icc_profile=profile)
    photo = load_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    assert photo.notes == ()


def grey_profile(power: float) -> bytes:
    """A profile of one channel."""
    name = b"grey\0"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * power)) + bytes(2)
    white = b"XYZ " + bytes(4) + np.rint(D50 * 65536).astype(">i4").tobytes()
    tags = [(b"desc", b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(82)), (b"wtpt", white)]
    tags += [(b"kTRC", curve), (b"cprt", b"text" + bytes(4) + b"none\0")]
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, content in tags:
        table += key + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp"
    return (head + bytes(28) + white[8:]).ljust(128, b"\0") + table + body


def test_grey_profiles(tmp_path: Path) -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    image = Image.fromarray(np.repeat(levels[None], 40, axis=0))
    image.save(tmp_path / "grey.png", icc_profile=grey_profile(1.0))
    pixels = load_photo(tmp_path / "grey.png").pixels
    assert np.abs(linear(pixels[5, :, 1]) - levels / 255).max() < 0.01
    assert np.ptp(pixels, axis=2).max() <= 1


def test_16_bit_grey_with_a_curve(tmp_path: Path) -> None:
    light = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.repeat(light[None], 40, axis=0)).save(tmp_path / "deep.png")
    with_chunks(tmp_path / "deep.png", (b"gAMA", struct.pack(">I", 100_000)))
    photo = load_photo(tmp_path / "deep.png")
    assert np.abs(linear(photo.pixels[5, :, 1]) - light / 65535).max() < 0.01
    assert len(photo.notes) == 1


@pytest.mark.parametrize(("points", "power"), [(BT709, 1.0), (BT709, 1.8), (ADOBE, 2.2), (P3, 1.0)])
def test_png_tells_its_gamma_and_primaries(tmp_path: Path, points: Points, power: float) -> None:
    patches(encoded(points, lambda x: x**power)).save(tmp_path / "photo.png")
    with_chunks(tmp_path / "photo.png", (b"gAMA", struct.pack(">I", round(100_000 / power))), (b"cHRM", chrm(points)))
    check(tmp_path / "photo.png", 6.0)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45_455))],
        [(b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", chrm(BT709))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cHRM", chrm(BT709))],
    ],
)
def test_what_pngs_write_for_srgb_changes_nothing(tmp_path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    patches(COLOURS).save(tmp_path / "photo.png")
    with_chunks(tmp_path / "photo.png", *chunks)
    photo = load_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels[24, 24::48], COLOURS)
    assert photo.notes == ()


@pytest.mark.parametrize("chunk", [(b"gAMA", bytes(4)), (b"gAMA", b"\0\0\0\1"), (b"cHRM", bytes(32))])
def test_senseless_chunks_are_left_out(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    patches(COLOURS).save(tmp_path / "photo.png")
    with_chunks(tmp_path / "photo.png", chunk)
    photo = load_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels[24, 24::48], COLOURS)
    assert photo.notes == (UNUSABLE,)


@pytest.mark.parametrize(
    ("codes", "points", "light"),
    [((12, 13), P3, srgb_light), ((1, 8), BT709, lambda x: x), ((12, 16), P3, pq_light), ((1, 18), BT709, hlg_light)],
    ids=["Display P3", "linear", "PQ", "HLG"],
)
def test_png_tells_codes(tmp_path: Path, codes: tuple[int, int], points: Points, light: Curve) -> None:
    patches(encoded(points, light)).save(tmp_path / "photo.png")
    with_chunks(tmp_path / "photo.png", (b"cICP", bytes([*codes, 0, 1])))
    check(tmp_path / "photo.png", 8.0 if codes[1] in (8, 16, 18) else 4.0)  # steps of the encoding


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_heic_and_avif_tell_codes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    image = patches(encoded(P3, srgb_light))
    if suffix == "heic":
        pytest.importorskip("pillow_heif", reason="pillow-heif is not installed").from_pillow(image).save(
            path, quality=98
        )
    else:
        image.save(path, quality=98)
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :])
    check(path, 8.0)
    path.write_bytes(data)
    assert load_photo(path).notes == ()


def exif_of(fields: dict[int, object], index: str = "", base: dict[int, object] | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow writes no EXIF into PNGs without a field of its own
    for tag, value in (base or {}).items():
        exif[tag] = value
    exif.get_ifd(0x8769).update(fields)
    if index:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    return exif


RATIONAL = TiffImagePlugin.IFDRational
ADOBE_POINTS = {
    0x013E: tuple(RATIONAL(round(1e4 * value), 10_000) for value in ADOBE[0]),
    0x013F: tuple(RATIONAL(round(1e4 * value), 10_000) for point in ADOBE[1:] for value in point),
}


@pytest.mark.parametrize(
    ("fields", "index", "base"),
    [
        ({0xA001: 0xFFFF}, "R03", {}),
        ({0xA001: 2}, "", {}),
        ({0xA001: 0xFFFF, 0xA500: RATIONAL(22, 10)}, "", {}),
        ({0xA001: 0xFFFF, 0xA500: RATIONAL(22, 10)}, "", ADOBE_POINTS),
    ],
    ids=["index", "colour space 2", "gamma", "primaries"],
)
@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_exif_alone_tells_adobe_rgb(
    tmp_path: Path, suffix: str, fields: dict[int, object], index: str, base: dict[int, object]
) -> None:
    path = tmp_path / f"photo.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {"quality": 98, "subsampling": 0} if suffix == "jpg" else {}
    patches(encoded(ADOBE, lambda x: x**2.2)).save(path, exif=exif_of(fields, index, base), **options)
    check(path, 5.0)


@pytest.mark.parametrize(
    ("fields", "index"), [({0xA001: 1}, "R98"), ({0xA001: 1}, "R03"), ({0xA001: 0xFFFF}, ""), ({0xA001: 0xFFFF}, "R98")]
)
def test_other_exif_tells_nothing(tmp_path: Path, fields: dict[int, object], index: str) -> None:
    patches(COLOURS).save(tmp_path / "photo.png", exif=exif_of(fields, index))
    photo = load_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels[24, 24::48], COLOURS)
    assert photo.notes == ()


def test_a_profile_goes_before_exif(tmp_path: Path) -> None:
    profile = matrix_profile(BT709, srgb_light)
    patches(COLOURS).save(tmp_path / "photo.png", exif=exif_of({0xA001: 0xFFFF}, "R03"), icc_profile=profile)
    assert (shown(tmp_path / "photo.png") == COLOURS).all()


def test_a_profile_that_does_not_unpack_costs_a_note_only(tmp_path: Path) -> None:
    patches(COLOURS).save(tmp_path / "photo.png")
    with_chunks(tmp_path / "photo.png", (b"iCCP", b"broken\0\0not zlib"))
    photo = load_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo.pixels[24, 24::48], COLOURS)
    assert photo.notes == (UNUSABLE,)


def test_print_colours_with_a_profile_that_is_none(tmp_path: Path) -> None:
    image = patches(COLOURS).convert("CMYK")
    image.save(tmp_path / "print.jpg", quality=98, icc_profile=b"no profile" * 30)
    photo = load_photo(tmp_path / "print.jpg")
    assert np.abs(photo.pixels[24, 24::48].astype(int) - COLOURS).max() <= 6
    assert photo.notes == (UNUSABLE,)


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not on this machine")
def test_the_reported_files_show_one_picture() -> None:
    files = ("samsung_p3.jpg", "linear_srgb.png", "gama_linear.png", "dcf_adobe.jpg")
    pictures = [load_photo(CASES / name).pixels.astype(float) for name in files]
    for other in (pictures[0], *pictures[2:]):
        assert np.abs(other - pictures[1]).mean() < 3  # unconverted they are 5 to 49 levels apart


# ---------------------------------------------------------------- files without their end


def photo_like() -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (13, 17, 3), np.uint8)).resize((231, 173), Image.Resampling.BICUBIC)


JPEGS = [
    {},
    {"progressive": True},
    {"optimize": True, "quality": 30},
    {"subsampling": 0, "quality": 97},
    {"restart_marker_blocks": 5},
]


@pytest.mark.parametrize("options", JPEGS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_its_end_marker_is_used(tmp_path: Path, options: dict[str, object], mode: str) -> None:
    path = tmp_path / "photo.jpg"
    photo_like().convert(mode).save(path, **options)
    data, whole = path.read_bytes(), load_photo(path)
    assert data.endswith(b"\xff\xd9")
    for ending in (data[:-2], data[:-1], data[:-2] + bytes(700)):
        path.write_bytes(ending)
        photo = load_photo(path)
        np.testing.assert_array_equal(photo.pixels, whole.pixels)
        assert len(photo.notes) <= 1
    path.write_bytes(data[:-2])
    assert load_photo(path).notes == ("the end of the file is missing; all rows are there and were used",)
    np.testing.assert_array_equal(load_photo(path, max_size=100).pixels.shape, (75, 100, 3))


@pytest.mark.parametrize("options", JPEGS, ids=str)
@pytest.mark.parametrize("missing", [6, 9, 30, 300])
def test_a_jpeg_that_lacks_pixels_is_refused(tmp_path: Path, options: dict[str, object], missing: int) -> None:
    path = tmp_path / "photo.jpg"
    photo_like().save(path, **options)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(PhotoError, match="damaged or cut off"):
        load_photo(path)


def test_a_webp_is_used_when_only_what_follows_the_picture_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    exif = exif_of({0xA001: 1})
    exif[0x0131] = "a" * 200
    photo_like().save(path, quality=90, exif=exif)
    data, whole = path.read_bytes(), load_photo(path)
    start = data.index(b"EXIF")
    for end in (start, start + 5, start + 50, len(data) - 2):
        path.write_bytes(data[:end])
        photo = load_photo(path)
        np.testing.assert_array_equal(photo.pixels, whole.pixels)
        assert photo.notes == ("the end of the file is missing; all rows are there and were used",)
    path.write_bytes(data[: start - 9])
    with pytest.raises(PhotoError, match="damaged or cut off"):
        load_photo(path)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_png_and_gif_without_their_end_mark(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    photo_like().save(path)
    whole = load_photo(path).pixels
    path.write_bytes(path.read_bytes()[: {"png": -12, "gif": -1}[suffix]])
    np.testing.assert_array_equal(load_photo(path).pixels, whole)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_what_follows_the_end_is_left_out(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    photo_like().save(path)
    whole = load_photo(path).pixels
    path.write_bytes(path.read_bytes() + b"appended by somebody" * 50)
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.pixels, whole)
    assert photo.notes == ()


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not on this machine")
def test_the_reported_file_without_an_end() -> None:
    photo = load_photo(CASES / "no_eoi.jpg")
    assert photo.notes == ("the end of the file is missing; all rows are there and were used",)
    assert photo.pixels[-16:].std() > 5
