"""Pictures in: real files of every kind, judged by the pixels that come out."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageCms, ImageFile, PngImagePlugin
from skimage import data

from portrait_anim.errors import DependencyError, OptionError, PhotoError
from portrait_anim.face.photo import MAX_PIXELS, is_monochrome, load_photo

pytestmark = pytest.mark.media

PORTRAIT: np.ndarray = np.ascontiguousarray(data.astronaut()[:200, 120:320])  # (200, 200, 3), public domain (NASA)
GREY: np.ndarray = np.asarray(Image.fromarray(PORTRAIT).convert("L"))  # (200, 200)
SHARED = ROOT.parent / "shared" / "data"


def difference(pixels: np.ndarray, reference: np.ndarray) -> float:
    assert pixels.shape == reference.shape
    return float(np.abs(pixels.astype(int) - reference).mean())


def grey_rgb(grey: np.ndarray = GREY) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


# formats and kinds of pixels


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        ("jpg", {"quality": 95}, 3.0),
        ("png", {}, 0.0),
        ("webp", {"lossless": True}, 0.0),
        ("webp", {"quality": 95}, 3.0),
        ("bmp", {}, 0.0),
        ("tiff", {"compression": "tiff_lzw"}, 0.0),
        ("tif", {"compression": "jpeg"}, 4.0),
        ("gif", {}, 12.0),
        ("jp2", {}, 0.0),
    ],
)
def test_file_formats(tmp_path: Path, suffix: str, options: dict[str, object], tolerance: float) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(PORTRAIT).save(path, **options)
    photo = load_photo(path)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert difference(photo.pixels, PORTRAIT) <= tolerance
    assert photo.source == str(path)
    assert not photo.monochrome
    assert photo.notes == ()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV"])
def test_colour_modes_of_pil_images(mode: str) -> None:
    image = Image.fromarray(PORTRAIT)
    image = image.convert("RGBA").convert("RGBa") if mode == "RGBa" else image.convert(mode)
    photo = load_photo(image)
    assert difference(photo.pixels, PORTRAIT) < 2
    assert photo.source is None
    assert image.mode == mode  # the caller's image is left alone


@pytest.mark.parametrize("mode", ["L", "LA", "La", "F", "I", "I;16", "I;16B"])
def test_grey_modes_of_pil_images(mode: str) -> None:
    if mode.startswith("I;16"):
        image = Image.fromarray((GREY.astype(np.uint16) * 257).astype(">u2" if mode.endswith("B") else "<u2"))
    else:
        image = Image.fromarray(GREY)
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)
    assert image.mode == mode
    photo = load_photo(image)
    assert difference(photo.pixels, grey_rgb()) == 0
    assert photo.monochrome


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0, 3.7e6])
def test_float_tiff_is_scaled_by_its_range(tmp_path: Path, scale: float) -> None:
    values = GREY.astype(np.float32) / GREY.max() * np.float32(scale)
    Image.fromarray(values).save(tmp_path / "float.tif")
    expected = np.rint(GREY / GREY.max() * 255)
    assert difference(load_photo(tmp_path / "float.tif").pixels, grey_rgb(expected)) <= 0.01


def test_16_bit_files(tmp_path: Path) -> None:
    deep = PORTRAIT.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "colour.png"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "colour.tif"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), GREY.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "grey.tif"), GREY.astype(np.uint16) * 257)
    for name in ("colour.png", "colour.tif"):
        assert difference(load_photo(tmp_path / name).pixels, PORTRAIT) <= 1
    for name in ("grey.png", "grey.tif"):
        assert difference(load_photo(tmp_path / name).pixels, grey_rgb()) == 0


def test_one_bit_and_palette(tmp_path: Path) -> None:
    one = Image.fromarray(PORTRAIT).convert("1")
    one.save(tmp_path / "one.tif")
    assert difference(load_photo(tmp_path / "one.tif").pixels, np.asarray(one.convert("RGB"))) == 0
    few = Image.fromarray(PORTRAIT).quantize(16)
    few.save(tmp_path / "few.png")
    assert difference(load_photo(tmp_path / "few.png").pixels, np.asarray(few.convert("RGB"))) == 0


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    Image.fromarray(PORTRAIT).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert difference(load_photo(tmp_path / "print.jpg").pixels, PORTRAIT) < 4


def test_lab_tiff(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(PORTRAIT), srgb, lab, outputMode="LAB")
    assert image is not None
    image.save(tmp_path / "lab.tif")
    assert difference(load_photo(tmp_path / "lab.tif").pixels, PORTRAIT) < 2


def test_first_picture_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((64, 64, 3), level, np.uint8)) for level in (50, 120, 220)]
    for suffix in ("gif", "webp", "png", "tif"):
        frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:])
        photo = load_photo(tmp_path / f"moving.{suffix}")
        assert np.abs(photo.pixels.astype(int) - 50).max() <= 3
        assert photo.notes == ("the first of 3 pictures in the file",)


def test_heic(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    heif.from_pillow(Image.fromarray(PORTRAIT)).save(tmp_path / "phone.heic", quality=95)
    assert difference(load_photo(tmp_path / "phone.heic").pixels, PORTRAIT) < 4
    image = Image.fromarray(np.ascontiguousarray(PORTRAIT[:100]))
    exif = Image.Exif()
    exif[0x0112] = 6
    heif.from_pillow(image).save(tmp_path / "turned.heic", quality=95, exif=exif.tobytes())
    assert difference(load_photo(tmp_path / "turned.heic").pixels, np.rot90(PORTRAIT[:100], -1)) < 4


def test_heic_without_its_library_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))  # iPhones' files, whatever their name
    with pytest.raises(DependencyError, match="pip install pillow-heif"):
        load_photo(tmp_path / "phone.jpg")


# alpha


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_is_composited_over_white(tmp_path: Path, suffix: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (200, 1))
    Image.fromarray(np.dstack([PORTRAIT, alpha])).save(tmp_path / f"cut.{suffix}", lossless=True)
    photo = load_photo(tmp_path / f"cut.{suffix}")
    share = alpha[..., None] / 255
    expected = PORTRAIT * share + 255 * (1 - share)
    assert difference(photo.pixels, expected) <= 1
    assert photo.notes == ("transparent areas shown on white",)


def test_palette_and_grey_transparency(tmp_path: Path) -> None:
    indices = np.zeros((64, 64), np.uint8)
    indices[:, 32:] = 1
    palette = Image.fromarray(indices).convert("P")
    palette.putpalette([200, 10, 10, 10, 10, 200])
    for suffix in ("png", "gif"):
        palette.save(tmp_path / f"clear.{suffix}", transparency=1)
        pixels = load_photo(tmp_path / f"clear.{suffix}").pixels
        assert (pixels[:, :32] == [200, 10, 10]).all()
        assert (pixels[:, 32:] == 255).all()
    Image.fromarray(indices * 90).save(tmp_path / "grey.png", transparency=0)
    pixels = load_photo(tmp_path / "grey.png").pixels
    assert (pixels[:, :32] == 255).all()
    assert (pixels[:, 32:] == 90).all()
    Image.fromarray(np.dstack([indices * 90, indices * 255])).save(tmp_path / "la.png")
    assert (load_photo(tmp_path / "la.png").pixels == pixels).all()


# orientation and colour profiles


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = PORTRAIT[:120]  # (120, 200, 3)
    stored = {  # what a camera held that way would have stored
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"held.{suffix}", exif=exif, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    photo = load_photo(tmp_path / f"held.{suffix}")
    assert difference(photo.pixels, upright) < 4
    assert photo.notes == (() if orientation == 1 else (f"turned upright (EXIF orientation {orientation})",))
    small = load_photo(tmp_path / f"held.{suffix}", max_size=100)
    assert small.pixels.shape == (60, 100, 3)
    assert "reduced from 200x120 to 100x60" in small.notes


def test_broken_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(PORTRAIT).save(tmp_path / "odd.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_photo(tmp_path / "odd.jpg").pixels.shape == (200, 200, 3)


def linear_profile(gamma: float) -> bytes:
    """An RGB profile with sRGB's primaries and another curve: sRGB's own bytes with the curves replaced."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    n_tags = int.from_bytes(raw[128:132], "big")
    for i in range(n_tags):
        entry = 132 + 12 * i
        tag = bytes(raw[entry : entry + 4])
        offset = int.from_bytes(raw[entry + 4 : entry + 8], "big")
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            curve = b"curv\0\0\0\0\0\0\0\x01" + round(gamma * 256).to_bytes(2, "big")
            raw[offset : offset + len(curve)] = curve
            raw[entry + 8 : entry + 12] = len(curve).to_bytes(4, "big")
        if tag == b"desc":
            raw[offset : offset + 200] = bytes(raw[offset : offset + 200]).replace(
                "sRGB".encode("utf-16-be"), "Test".encode("utf-16-be")
            )
    return bytes(raw)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_icc_profiles_are_converted_to_srgb(tmp_path: Path, suffix: str) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    Image.fromarray(grey).save(tmp_path / f"linear.{suffix}", icc_profile=linear_profile(1.0))
    photo = load_photo(tmp_path / f"linear.{suffix}")
    assert np.abs(photo.pixels.astype(int) - 188).max() <= 2  # linear .5 is 188 in sRGB
    assert any("to sRGB" in note for note in photo.notes)


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PORTRAIT).save(tmp_path / "plain.png", icc_profile=profile)
    photo = load_photo(tmp_path / "plain.png")
    assert difference(photo.pixels, PORTRAIT) == 0
    assert photo.notes == ()


def test_alpha_survives_a_profile(tmp_path: Path) -> None:
    grey = np.full((64, 64, 4), 128, np.uint8)
    grey[:, :32, 3], grey[:, 32:, 3] = 0, 255
    Image.fromarray(grey).save(tmp_path / "linear.png", icc_profile=linear_profile(1.0))
    pixels = load_photo(tmp_path / "linear.png").pixels.astype(int)
    assert (pixels[:, :32] == 255).all()
    assert np.abs(pixels[:, 32:] - 188).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_unusable_profiles_are_left_out(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(PORTRAIT).convert(mode)
    broken = b"not a profile" * 20 if mode == "RGB" else linear_profile(1.0)  # an RGB profile fits no CMYK, no grey
    image.save(tmp_path / "odd.tif", icc_profile=broken)
    photo = load_photo(tmp_path / "odd.tif")
    assert difference(photo.pixels, grey_rgb() if mode == "L" else PORTRAIT) < 2
    assert photo.notes == ("its colour profile is unusable and was left out",)


# sizes


def test_max_size_reduces_only_and_keeps_the_aspect(tmp_path: Path) -> None:
    tall = np.ascontiguousarray(PORTRAIT[:, :100])  # (200, 100, 3)
    Image.fromarray(tall).save(tmp_path / "tall.png")
    assert difference(load_photo(tmp_path / "tall.png", max_size=200).pixels, tall) == 0
    assert load_photo(tmp_path / "tall.png", max_size=5000).notes == ()
    photo = load_photo(tmp_path / "tall.png", max_size=150)
    assert photo.pixels.shape == (150, 75, 3)
    assert photo.notes == ("reduced from 100x200 to 75x150",)
    reference = np.asarray(Image.fromarray(tall).resize((75, 150), Image.Resampling.LANCZOS))
    assert difference(photo.pixels, reference) < 0.5
    assert load_photo(tall, max_size=150).pixels.shape == (150, 75, 3)


def test_huge_pictures_are_refused_or_reduced(tmp_path: Path) -> None:
    huge = Image.new("L", (9_000, 7_000), 90)
    huge.paste(Image.fromarray(GREY).resize((4_000, 4_000)), (2_000, 1_000))
    huge.save(tmp_path / "huge.jpg", quality=60)
    with pytest.raises(PhotoError, match=r"9000x7000 = 63 megapixels, more than 50: give --max-size"):
        load_photo(tmp_path / "huge.jpg")
    photo = load_photo(tmp_path / "huge.jpg", max_size=900)
    assert photo.pixels.shape == (700, 900, 3)
    assert photo.notes == ("reduced from 9000x7000 to 900x700",)
    reference = np.asarray(huge.resize((900, 700), Image.Resampling.LANCZOS).convert("RGB"))
    assert difference(photo.pixels, reference) < 1.5
    with pytest.raises(PhotoError, match="more than 50"):
        load_photo(tmp_path / "huge.jpg", max_size=8_900)


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    PngImagePlugin.putchunk(file, b"IHDR", size, b"\x08\x02\0\0\0")
    PngImagePlugin.putchunk(file, b"IDAT", bytes(50))
    PngImagePlugin.putchunk(file, b"IEND", b"")
    return file.getvalue()


@pytest.mark.parametrize("size", [(20_000, 9_000), (60_000, 60_000), (2_000_000, 100)])
def test_decompression_bombs_are_refused_whatever_max_size(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    limits = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    for max_size in (None, 512):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(PhotoError, match=r"megapixels.*reduce it first"):
                load_photo(tmp_path / "bomb.png", max_size=max_size)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == limits


def test_between_the_limits_no_warning_reaches_the_user(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(png_header(10_000, 10_000))
    assert MAX_PIXELS < 100_000_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PhotoError, match="more than 50"):
            load_photo(tmp_path / "big.png")


@pytest.mark.parametrize("size", [(31, 200), (200, 31), (1, 1), (5_000, 20)])
def test_tiny_pictures_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(PhotoError, match="too small"):
        load_photo(Image.new("RGB", size))
    assert load_photo(Image.new("RGB", (32, 32))).pixels.shape == (32, 32, 3)
    with pytest.raises(PhotoError, match="too small"):
        load_photo(Image.new("RGB", (400, 40)), max_size=200)  # 20 px high afterwards


@pytest.mark.parametrize("max_size", [0, -5, 31, 100.5, True, "big", float("nan")])
def test_senseless_max_size(max_size: object) -> None:
    with pytest.raises(OptionError, match="max_size"):
        load_photo(PORTRAIT, max_size=max_size)  # type: ignore[arg-type]


# arrays


def test_arrays(tmp_path: Path) -> None:
    photo = load_photo(PORTRAIT)
    assert difference(photo.pixels, PORTRAIT) == 0
    photo.pixels[:] = 0
    assert PORTRAIT.any()  # a copy
    assert difference(load_photo(GREY).pixels, grey_rgb()) == 0
    assert difference(load_photo(GREY[..., None]).pixels, grey_rgb()) == 0
    assert difference(load_photo(PORTRAIT[::-1, ::-1]).pixels, PORTRAIT[::-1, ::-1]) == 0
    see_through = np.dstack([PORTRAIT, np.zeros((200, 200), np.uint8)])
    assert (load_photo(see_through).pixels == 255).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (PORTRAIT / 255, "type is float64: give uint8"),
        (PORTRAIT.astype(np.uint16), "type is uint16"),
        (PORTRAIT[None], "shape"),
        (PORTRAIT[..., :2], "shape"),
        (PORTRAIT.transpose(2, 0, 1), "shape"),
        (np.zeros((0, 50, 3), np.uint8), "shape"),
        (np.zeros(50, np.uint8), "shape"),
        (None, "is no photo"),
        (7, "is no photo"),
        (b"\xff\xd8\xff", "is no photo"),
    ],
)
def test_other_arrays_are_refused(array: object, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        load_photo(array)  # type: ignore[arg-type]


# files that cannot be used


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff", "gif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"whole.{suffix}"
    Image.fromarray(PORTRAIT).save(path)
    (tmp_path / f"cut.{suffix}").write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(PhotoError, match=r"damaged or cut off|not a picture") as caught:
        load_photo(tmp_path / f"cut.{suffix}")
    assert "\n" not in str(caught.value)
    assert f"cut.{suffix}" in str(caught.value)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("this is no picture\n" * 50)
    (tmp_path / "noise.png").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "vector.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'/>")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\nshowpage\n")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    cases = {
        "text.jpg": "not a picture.*jpg, png",
        "noise.png": "not a picture",
        "vector.svg": "not a picture",
        "program.eps": "not a picture",  # would run ghostscript
        "empty.jpg": "empty file",
        "folder.jpg": "is a folder",
        "missing.jpg": "not found",
        "x" * 300 + ".jpg": "cannot be opened",
    }
    for name, words in cases.items():
        with pytest.raises(PhotoError, match=words) as caught:
            load_photo(tmp_path / name)
        assert "\n" not in str(caught.value)
    for name in ("", "a\0b.jpg"):
        with pytest.raises(PhotoError):
            load_photo(name)


def test_not_finite_float_tiff(tmp_path: Path) -> None:
    values = GREY.astype(np.float32)
    values[5, 5] = np.nan
    Image.fromarray(values).save(tmp_path / "nan.tif")
    with pytest.raises(PhotoError, match="NaN"):
        load_photo(tmp_path / "nan.tif")


def test_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-dash first.png", "Grüße 日本 🎤.png", "line\nbreak.png"):
        Image.fromarray(PORTRAIT).save(name)
        assert difference(load_photo(name).pixels, PORTRAIT) == 0
    with pytest.raises(PhotoError) as caught:
        load_photo("no\nsuch\x1bfile.png")
    assert str(caught.value).isprintable()


# monochrome


def test_monochrome_is_told_from_colour_and_tint() -> None:
    rng = np.random.default_rng(0)
    assert is_monochrome(grey_rgb())
    assert not is_monochrome(PORTRAIT)
    large = np.asarray(Image.fromarray(grey_rgb()).resize((1600, 1600)))
    noisy = np.clip(large + rng.normal(0, 12, large.shape), 0, 255).astype(np.uint8)  # a scanner's, in every channel
    assert is_monochrome(noisy)
    sepia = np.clip(GREY[..., None] * [1.07, 0.94, 0.73], 0, 255).astype(np.uint8)
    assert not is_monochrome(sepia)
    pale = np.clip(grey_rgb() + 0.25 * (PORTRAIT.astype(float) - grey_rgb()), 0, 255).astype(np.uint8)
    assert not is_monochrome(pale)  # faded colours are colours
    stamp = grey_rgb().copy()
    stamp[:12, :12] = (200, 0, 0)
    assert is_monochrome(stamp)  # .4 % of it


def test_monochrome_after_jpeg() -> None:
    for quality in (20, 50, 90):
        file = io.BytesIO()
        Image.fromarray(grey_rgb()).save(file, "JPEG", quality=quality)
        assert load_photo(Image.open(file)).monochrome
        file = io.BytesIO()
        Image.fromarray(PORTRAIT).save(file, "JPEG", quality=quality)
        assert not load_photo(Image.open(file)).monochrome


@pytest.mark.parametrize("folder", ["public_domain", "stills"])
def test_the_shared_pictures_load(folder: str) -> None:
    paths = [path for path in sorted((SHARED / folder).glob("*")) if path.suffix.lower() in (".jpg", ".png", ".jpeg")]
    if not paths:
        pytest.skip(f"{SHARED / folder} is not on this machine")
    for path in paths:
        photo = load_photo(path, max_size=640)
        assert max(photo.pixels.shape) <= 640
        assert photo.pixels.std() > 5


def test_importing_it_needs_neither_torch_nor_opencv() -> None:
    code = "import sys, portrait_anim.face.photo; print({'torch', 'cv2', 'librosa'} & set(sys.modules))"
    root = str(ROOT)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "set()"
