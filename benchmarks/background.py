"""People before other backgrounds: how steady their outline is, what it costs, what `verify` finds, and sheets.

    PYTHONPATH=. python benchmarks/background.py examples/astronaut.jpg PHOTO... [--sheet sheet.jpg] [--skip outline]

- ``outline``: the opacity of a decoded WebM against the photo's own cut, frame by frame, with a still head
  (``--head-motion 0``), and how much it flickers at the edge with a moving one: mean absolute second difference over
  time, grey levels, of the film laid over the photo's own background, filled and blurred (so that hair stands out
  from it as much), and over grey; beside it the plain film at the same pixels, and what a background
  remover does that looks at every frame of the plain film anew.
- ``cost``: seconds for the photo, and milliseconds a frame: processor time for drawing (with the mark, without
  encoding), and time on the clock for the whole film; beside a plain film in the same run, at its start and end.
- ``verify``: which marks are found in each kind of film, and after laying it over a colour as an mp4 (CRF 16, and 28).
- ``sheet``: each photo, and its people over black, white and squares, at rest and turned.
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

from portrait_anim import Animator, verify
from portrait_anim.errors import PortraitAnimError
from portrait_anim.face.cutout import cut_out
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.state import FaceState
from portrait_anim.render.backed import blurred
from portrait_anim.system import ffmpeg
from portrait_anim.video import formats, writer

SPEECH = Path(__file__).resolve().parents[1] / "examples" / "speech.flac"
SECONDS = 0.64  # of the films
MAX_SIZE_PX = 512
REPEATS = 5  # of which the fastest counts
KINDS = ("film.webm", "film.mov", "film")
GREY, GREEN = 128, (0, 177, 64)
TURNS = ((0, 0, 0), (6, 18, 0), (-5, -18, 5))  # degrees of pitch, yaw, roll, of the sheet
TILE_PX, SQUARE_PX = 240, 16
Frames = npt.NDArray[np.uint8]


def sound() -> tuple[npt.NDArray[np.float32], int]:
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    return samples[rate // 2 : rate // 2 + round(SECONDS * rate)], rate


def decoded(path: Path) -> Frames:
    """Return the frames (T, H, W, 4) of a film with opacity."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])
    width, height = map(int, re.search(r"Video: .*?, (\d+)x(\d+)", ffmpeg.header(path)).groups())  # type: ignore[union-attr]
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    child = ffmpeg.Child([*ffmpeg.QUIET, *decoder, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgba", "-"])
    data = child.stdout.read()
    child.wait()
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 4)


def over(frame: Frames, behind: Any) -> Frames:
    alpha = frame[..., 3:] / 255.0
    return np.rint(alpha * frame[..., :3] + (1 - alpha) * behind).astype(np.uint8)


def squares(shape: tuple[int, ...]) -> Frames:
    row, column = np.mgrid[: shape[0], : shape[1]] // SQUARE_PX
    return np.repeat(np.where((row + column) % 2, 220, 150)[..., None], 3, axis=2).astype(np.uint8)


def flicker(frames: Iterable[Frames], edge: npt.NDArray[np.bool_]) -> float:
    at_edge = np.stack([frame[edge] for frame in frames]).astype(np.float32)
    return float(np.abs(np.diff(at_edge, 2, axis=0)).mean())


def outline(photo: Path) -> str:
    clear = Animator(photo, background="none", max_size=MAX_SIZE_PX)
    found = shared_landmarker("facemesh").detect(clear.photo.pixels)
    cut = cut_out(clear.photo.pixels, clear.faces, found)
    still, wall = cut.person[..., 3], blurred(clear.photo.pixels, cut)
    with tempfile.TemporaryDirectory() as folder:
        clear.animate(sound(), Path(folder) / "film.webm", head_motion=0)
        films = decoded(Path(folder) / "film.webm")[:, : still.shape[0], : still.shape[1], 3]
    inside = still > 127
    shares = [((film > 127) & inside).sum() / ((film > 127) | inside).sum() for film in films]
    edge = cv2.dilate(((still > 8) & (still < 247)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    plain = list(Animator(photo, max_size=MAX_SIZE_PX).frames(sound()))
    anew = []
    for frame in plain:
        person = cut_out(frame, clear.faces, found).person.astype(int)
        anew.append(np.clip(person[..., :3] + (255 - person[..., 3:]) * wall // 255, 0, 255).astype(np.uint8))
    ours = list(clear.frames(sound()))
    over_wall, over_grey = ([over(frame, behind) for frame in ours] for behind in (wall, GREY))
    soft = ((films[0] > 30) & (films[0] < 225)).mean()
    return (
        f"| {photo.stem} | {films.min()}..{films.max()} | {100 * soft:.1f} % | {min(shares):.3f} | "
        f"{flicker(plain, edge):.2f} | {flicker(over_wall, edge):.2f} | {flicker(anew, edge):.2f} | "
        f"{flicker(over_grey, edge):.2f} |"
    )


def cost(photo: Path) -> list[str]:
    def least(clock: Callable[[], float], work: Callable[[], Any]) -> float:
        spent = []
        for _ in range(REPEATS):
            start = clock()
            work()
            spent.append(clock() - start)
        return min(spent)

    def spent(animator: Animator, target: Path) -> tuple[float, float]:
        n_frames = len(list(animator.frames(sound())))  # compiled and warm
        drawing, film = (
            least(clock, work) - least(clock, lambda: animator.motions(sound()))
            for clock, work in (
                (time.process_time, lambda: list(animator.frames(sound()))),
                (time.perf_counter, lambda: animator.animate(sound(), target, overwrite=True)),
            )
        )
        return 1000 * drawing / n_frames, 1000 * film / n_frames

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for background, name in (
            ("keep", "keep.mp4"), ("#00b140", "colour.mp4"), ("blur", "blur.mp4"),
            (str(Path(folder) / "keep.mp4"), "video.mp4"), *(("none", kind) for kind in KINDS), ("keep", "again.mp4"),
        ):  # fmt: skip
            start = time.perf_counter()
            animator = Animator(photo, background=background, max_size=MAX_SIZE_PX)
            made = time.perf_counter() - start
            drawing, writing = spent(animator, Path(folder) / name)
            shown = "a video" if background.startswith("/") else background
            lines.append(f"| {shown} | {Path(name).suffix or 'PNG'} | {made:.1f} | {drawing:.1f} | {writing:.1f} |")
    return lines


def marks(photos: list[Path]) -> list[str]:
    rows: dict[str, list[tuple[bool, bool, bool]]] = {}
    for photo in photos:
        clear = Animator(photo, background="none", max_size=MAX_SIZE_PX)
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "plain.mp4"
            Animator(photo, max_size=MAX_SIZE_PX).animate(sound(), plain)
            films = {"plain mp4 (baseline)": plain}
            for kind in KINDS:
                target = Path(folder) / kind
                clear.animate(sound(), target)
                name = target.suffix.removeprefix(".") or "PNG"
                films[name] = sorted(target.glob("*.png"))[0] if target.is_dir() else target
                frames = decoded(target)
                for crf in (formats.CRF, 28):
                    films[f"{name} over green, CRF {crf}"] = laid(frames, Path(folder) / f"{name}{crf}.mp4", crf)
            for name, film in films.items():
                found = verify(film)
                said = found.metadata_type is not None
                rows.setdefault(name, []).append((found.manifest.valid, found.mark.found, said))
    return [
        f"| {name} | " + " | ".join(f"{sum(column)} of {len(column)}" for column in zip(*found, strict=True)) + " |"
        for name, found in rows.items()
    ]


def laid(frames: Frames, target: Path, crf: int) -> Path:
    """Write a film with opacity over green as an mp4, as an editing program would."""
    film = writer.Writer(target, (frames.shape[2], frames.shape[1]), 25)
    picture = tuple(str(crf) if part == str(formats.CRF) else part for part in formats.MP4.picture)
    film.format = replace(formats.MP4, picture=picture)
    with film:
        for frame in frames:
            film.write(over(frame, GREEN))
    return target


def sheet(photos: list[Path], target: Path) -> None:
    rows = []
    for photo in photos:
        animator = Animator(photo, background="none", max_size=2 * TILE_PX)
        scene = animator._scene
        tiles = [animator.photo.pixels]
        for turn, behind in zip((TURNS[0], *TURNS), (0, 255, squares(scene.still.shape), GREEN), strict=True):
            state = replace(FaceState.rest(), rotation=np.deg2rad(turn).astype(np.float32))
            frame = scene.still.copy()
            scene.draw([state] * len(animator.faces), 0.0, frame)
            tiles.append(over(frame, behind))
        scale = TILE_PX / tiles[0].shape[0]
        size = min(TILE_PX, round(tiles[0].shape[1] * scale)), TILE_PX
        row = [cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in tiles]
        rows.append(np.concatenate([np.pad(tile, ((0, 0), (0, TILE_PX - size[0]), (0, 0))) for tile in row], axis=1))
    Image.fromarray(np.concatenate(rows)).save(target, quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--sheet", type=Path, help="write the sheet here")
    parser.add_argument("--skip", nargs="*", default=(), choices=("outline", "cost", "verify"))
    arguments = parser.parse_args()
    logging.disable()
    usable = []
    for photo in arguments.photos:
        try:
            Animator(photo, max_size=MAX_SIZE_PX)
            usable.append(photo)
        except PortraitAnimError as e:
            print(e)
    if "outline" not in arguments.skip:
        print(
            "| photo | opacity, decoded | soft | least IoU | flicker: plain film | ours | cut anew | ours over grey |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for photo in usable:
            print(outline(photo), flush=True)
    if "cost" not in arguments.skip:
        print("\n| background | film | photo, s | drawing, ms of processor time | whole film, ms of wall time |")
        print("|---|---|---|---|---|")
        print("\n".join(cost(usable[0])), flush=True)
    if "verify" not in arguments.skip:
        print("\n| film | manifest valid | invisible mark | metadata |\n|---|---|---|---|")
        print("\n".join(marks(usable)), flush=True)
    if arguments.sheet is not None:
        sheet(usable, arguments.sheet)


if __name__ == "__main__":
    main()
