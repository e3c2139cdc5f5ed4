"""People before another background, and films with real transparency."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES
from PIL import Image

from portrait_anim import Animator, verify
from portrait_anim.cli.main import main
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.face.cutout import cut_out
from portrait_anim.system import ffmpeg
from portrait_anim.system.opencv import cv2
from portrait_anim.video.looped import LoopedVideo
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

RATE = 16_000
LEAST_IOU = 0.97
GREEN = (0, 177, 64)
Frames = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def voice(speech: Path) -> tuple[npt.NDArray[np.float32], int]:
    import soundfile

    samples, rate = soundfile.read(speech, dtype="float32")
    return samples[rate // 2 : rate], rate


@pytest.fixture(scope="module")
def clear(small_astronaut: Path) -> Animator:
    return Animator(small_astronaut, background="none")


@pytest.fixture(scope="module")
def films(
    clear: Animator, voice: tuple[npt.NDArray[np.float32], int], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("clear")
    for name in ("film.webm", "film.mov", "film"):
        clear.animate(voice, folder / name, head_motion=0)
    return folder


def decoded(path: Path) -> Frames:
    """Return the frames (T, H, W, 4) of a film with opacity, by ffmpeg, which takes them for opaque if they are."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    child = ffmpeg.Child([*ffmpeg.QUIET, *decoder, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgba", "-"])
    data = child.stdout.read()
    child.wait()
    return np.frombuffer(data, np.uint8).reshape(-1, 256, 256, 4)


def iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def over(frame: Frames, behind: Any) -> Frames:
    alpha = frame[..., 3:] / 255.0
    return np.asarray(np.rint(alpha * frame[..., :3] + (1 - alpha) * behind), np.uint8)


def cut_of(animator: Animator) -> Frames:
    return cut_out(animator.photo.pixels, animator.faces).person


# transparency


@pytest.mark.parametrize("name", ["film.webm", "film.mov", "film"])
def test_a_decoded_film_is_transparent_with_soft_edges(films: Path, clear: Animator, name: str) -> None:
    frames = decoded(films / name)
    assert len(frames) == 12
    still = cut_of(clear)[..., 3]
    soft = ((still > 30) & (still < 225)).sum()
    assert soft > 300
    for frame in frames:
        alpha = frame[..., 3]
        assert alpha.min() <= 1
        assert alpha.max() >= 254
        assert ((alpha > 30) & (alpha < 225)).sum() > 0.7 * soft  # not cut hard
        assert iou(alpha > 127, still > 127) >= LEAST_IOU


def test_the_edge_does_not_flicker_more_than_in_a_plain_film(
    clear: Animator, small_astronaut: Path, voice: tuple[npt.NDArray[np.float32], int]
) -> None:
    still = cut_of(clear)[..., 3]
    edge = cv2.dilate(((still > 8) & (still < 247)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0

    def flicker(frames: list[Frames]) -> float:
        return float(np.abs(np.diff(np.stack(frames)[:, edge].astype(np.float32), 2, axis=0)).mean())

    plain = flicker(list(Animator(small_astronaut).frames(voice)))
    assert plain > 0.2  # the head moves
    assert flicker([over(frame, 128) for frame in clear.frames(voice)]) <= plain
    assert flicker([frame[..., 3:] for frame in clear.frames(voice, head_motion=0)]) < 0.2


def test_the_mark_is_read_in_every_kind_of_film(films: Path) -> None:
    for file in (films / "film.webm", films / "film.mov", films / "film" / "frame_000003.png"):
        found = verify(file)
        assert found.mark.found, file
        assert found.ids_agree, file
        assert found.manifest.valid, file
        assert found.metadata_type == "compositeWithTrainedAlgorithmicMedia", file
    assert (films / "film.c2pa").is_file()  # WebM has no place for it


def test_a_changed_webm_is_told_by_the_manifest_beside_it(films: Path, tmp_path: Path) -> None:
    data = bytearray((films / "film.webm").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "film.webm").write_bytes(data)
    assert not verify(tmp_path / "film.webm").manifest.present
    (tmp_path / "film.c2pa").write_bytes((films / "film.c2pa").read_bytes())
    assert verify(tmp_path / "film.webm").manifest.changed


def test_the_mark_survives_before_a_colour(
    astronaut: Path, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    target = tmp_path / "over.mp4"
    with Writer(target, (512, 512), 25) as writer:
        for frame in Animator(astronaut, background="none").frames(voice):
            writer.write(over(frame, GREEN))
    assert verify(target).mark.found


def test_films_have_their_sound(films: Path) -> None:
    for name, codec in (("film.webm", "opus"), ("film.mov", "pcm_s16le"), ("film/sound.wav", "pcm_s16le")):
        assert codec in ffmpeg.streams(ffmpeg.header(films / name), "Audio")[0]


def test_nothing_of_the_old_background_is_left(clear: Animator, voice: tuple[npt.NDArray[np.float32], int]) -> None:
    frame = next(clear.frames(voice, head_motion=0))
    gone = frame[..., 3] == 0
    photo = clear.photo.pixels[gone].astype(np.float32)
    hidden = frame[gone, :3].astype(np.float32)
    assert gone.sum() > 10_000
    assert abs(np.corrcoef(hidden.mean(1), photo.mean(1))[0, 1]) < 0.5
    assert (
        np.abs(np.diff(frame[..., :3].astype(np.float32), axis=1))[gone[:, 1:]].mean() < 4
    )  # smooth, but for the mark


def test_the_label_is_opaque_where_nothing_is_behind_it(
    clear: Animator, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    clear.animate(voice, tmp_path / "film", label="eu", head_motion=0)
    with_label = decoded(tmp_path / "film")[0]
    plate = with_label[-24:-9, 9:100]
    assert (plate[..., 3] > 150).all()
    assert (plate[..., :3].min(axis=2) > 200).sum() > 60  # white letters


def test_live_frames_are_transparent(clear: Animator, voice: tuple[npt.NDArray[np.float32], int]) -> None:
    frames = list(clear.live([voice[0]], head_motion=0))
    still = cut_of(clear)[..., 3]
    assert len(frames) > 5
    for frame in frames:
        assert frame.shape == (256, 256, 4)
        assert iou(frame[..., 3] > 127, still > 127) >= LEAST_IOU


# other backgrounds


def test_a_colour_a_picture_and_blur_are_seen_behind_the_person(
    small_astronaut: Path, clear: Animator, voice: tuple[npt.NDArray[np.float32], int]
) -> None:
    opacity = cut_of(clear)[..., 3]
    gone, there = opacity == 0, cv2.erode((opacity == 255).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    beach = np.zeros((40, 90, 3), np.uint8)
    beach[..., 2] = np.linspace(0, 255, 90).astype(np.uint8)
    plain = next(Animator(small_astronaut).frames(voice, head_motion=0))
    for background in ("#00b140", Image.fromarray(beach), "blur"):
        frame = next(Animator(small_astronaut, background=background).frames(voice, head_motion=0))
        assert frame.shape == (256, 256, 3)
        assert np.abs(frame[there].astype(float) - plain[there]).mean() < 6  # the person is the same but for the mark
        if background == "#00b140":
            assert np.abs(frame[gone].astype(float) - GREEN).max() < 12
        elif background == "blur":
            far = gone.copy()
            far[60:] = False
            assert np.abs(frame[far].astype(float) - plain[far]).mean() < 40
            assert np.diff(frame[far].astype(float), axis=0).std() < np.diff(plain[far].astype(float), axis=0).std()
        else:
            columns = np.nonzero(gone)[1]
            assert np.corrcoef(columns, frame[gone][:, 2])[0, 1] > 0.95


def test_a_video_plays_behind_and_over_again(
    small_astronaut: Path, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    with Writer(tmp_path / "sea.mp4", (64, 32), 25) as writer:
        for number in range(5):
            writer.write(np.full((32, 64, 3), 40 * number, np.uint8))
    video = LoopedVideo(tmp_path / "sea.mp4", (256, 256))
    seen = [int(video(i / 25)[0, 0, 0]) for i in range(12)]
    assert np.abs(np.array(seen) - 40 * (np.arange(12) % 5)).max() <= 3
    assert int(video(0.0)[0, 0, 0]) <= 3  # another film begins
    animator = Animator(small_astronaut, background=tmp_path / "sea.mp4")
    films = [list(animator.frames(voice, head_motion=0)) for _ in range(2)]
    corners = np.array([frame[:8, -8:].mean() for frame in films[0]])
    assert np.abs(corners - 40 * (np.arange(len(corners)) % 5)).max() < 8
    assert all((a == b).all() for a, b in zip(*films, strict=True))


def test_people_who_do_not_move_stay_and_all_may_move(voice: tuple[npt.NDArray[np.float32], int]) -> None:
    names = ("astronaut.jpg", "portraits/raphael_la_donna_velata_1516.jpg")
    halves = [np.asarray(Image.open(EXAMPLES / name).convert("RGB").resize((256, 256))) for name in names]
    couple = np.concatenate(halves, axis=1)
    for face in (1, "all"):
        animator = Animator(couple, face=face, background="none")
        frames = list(animator.frames(voice))
        for centre in (128, 384):
            assert (frames[-1][110:150, centre - 10 : centre + 10, 3] == 255).all()
        moved = np.abs(frames[-1].astype(int) - frames[0])[..., :3].max(axis=2) > 12
        assert moved[:, :256].any()
        assert moved[:, 256:].any() == (face == "all")


def test_a_morph_keeps_the_first_ones_outline(
    small_astronaut: Path, voice: tuple[npt.NDArray[np.float32], int]
) -> None:
    other = EXAMPLES / "portraits" / "sargent_lady_agnew_1892.jpg"
    sound = np.tile(voice[0], 2), voice[1]
    animator = Animator(small_astronaut, background="none", morph=[(other, 0.2, 0.4)])
    frames = list(animator.frames(sound, head_motion=0))
    still = cut_of(animator)[..., 3]
    assert all(iou(frame[..., 3] > 127, still > 127) >= LEAST_IOU for frame in frames)
    face = frames[0][..., 3] == 255
    assert np.abs(frames[-1].astype(int) - frames[0])[face].mean() > 2  # it is another's


# what is told, and what is refused


def test_a_photo_that_cannot_be_cut_well_is_told(caplog: pytest.LogCaptureFixture, small_astronaut: Path) -> None:
    caplog.set_level(logging.INFO, "portrait_anim")
    Animator(EXAMPLES / "portraits" / "isidora_master_isidora_100.jpg", background="blur", max_size=400)
    notes = [record.message for record in caplog.records if "background keep" in record.message]
    assert len(notes) == 1
    caplog.clear()
    Animator(small_astronaut, background="blur")
    assert not [record for record in caplog.records if "background keep" in record.message]


@pytest.mark.parametrize(
    ("background", "output", "words"),
    [
        ("none", "film.mp4", ("NAME.webm", "NAME.mov", "folder")),
        ("none", "film.avi", ("NAME.webm", "NAME.mov", "folder")),
        ("keep", "film.webm", (".mp4",)),
        ("#12345", "film.mp4", ("no colour",)),
        ("blurr", "film.mp4", ("not found", "keep, none, blur")),
        ("broken.jpg", "film.mp4", ("broken.jpg",)),
        ("broken.mp4", "film.mp4", ("broken.mp4",)),
    ],
)
def test_bad_values_are_one_line_and_leave_nothing(
    background: str, output: str, words: tuple[str, ...], small_astronaut: Path, second_of_speech: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("broken.jpg", "broken.mp4"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 no picture at all")
    before = sorted(tmp_path.iterdir())
    arguments = ["animate", str(small_astronaut), str(second_of_speech), "-o", output, "--background", background]
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert all(word in errors[0] for word in words)
    assert sorted(tmp_path.iterdir()) == before


def test_folders_are_replaced_only_if_they_hold_a_film(
    clear: Animator, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    target = tmp_path / "film"
    clear.animate(voice, target)
    with pytest.raises(OutputError, match="exists already"):
        clear.animate(voice, target)
    clear.animate((voice[0][:3200], voice[1]), target, overwrite=True)
    assert len(list(target.glob("*.png"))) == 5
    with pytest.raises(OutputError, match="lies in"):
        clear.animate(target / "sound.wav", target, overwrite=True)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        clear.animate(voice, target, overwrite=True)
    assert (target / "notes.txt").read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["film"]


def test_a_failed_film_leaves_no_folder(
    clear: Animator, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    for name in ("film", "film.webm", "film.mov"):
        with pytest.raises(RuntimeError, match="enough"):
            clear.animate(voice, tmp_path / name, progress=stop)
    assert not list(tmp_path.iterdir())


def test_captions_are_seen_where_nothing_is_behind_them(
    clear: Animator, voice: tuple[npt.NDArray[np.float32], int], tmp_path: Path
) -> None:
    lines = tmp_path / "lines.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:05,000\nHello there\n")
    clear.animate(voice, tmp_path / "plain", head_motion=0)
    clear.animate(voice, tmp_path / "burned", head_motion=0, captions=lines, caption_style="burned")
    plain, burned = (decoded(tmp_path / name)[0].astype(int) for name in ("plain", "burned"))
    changed = np.abs(burned - plain).max(axis=2) > 60
    assert changed.sum() > 100
    letters = changed & (burned[..., :3].min(axis=2) > 220)
    assert letters.sum() > 40
    assert burned[letters, 3].min() > 150
    assert np.abs(burned - plain)[~cv2.dilate(changed.astype(np.uint8), np.ones((25, 25))).astype(bool)].max() <= 25
    for name, codec in (("film.webm", "webvtt"), ("film.mov", "mov_text")):
        clear.animate(voice, tmp_path / name, captions=lines)
        assert codec in ffmpeg.header(tmp_path / name)
    with pytest.raises(OptionError, match="no subtitle track"):
        clear.animate(voice, tmp_path / "folder", captions=lines)
    assert not (tmp_path / "folder").exists()


def test_films_of_another_shape_are_transparent_too(
    small_astronaut: Path, voice: tuple[npt.NDArray[np.float32], int]
) -> None:
    animator = Animator(small_astronaut, background="none", aspect="9:16", fill="crop")
    frame = next(animator.frames(voice, head_motion=0))
    width, height = animator.size
    assert frame.shape == (height, width, 4)
    assert abs(height / width - 16 / 9) < 0.03
    assert 0.2 < (frame[..., 3] > 127).mean() < 0.9
