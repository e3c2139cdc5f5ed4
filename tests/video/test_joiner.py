"""Parts of a film joined without encoding again: frames, times, sound, and what goes wrong."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from portrait_anim.errors import OutputError
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.joiner import PART_THREADS, Joiner, Part, borders
from portrait_anim.video.reader import probe, read_frames
from portrait_anim.video.writer import Writer, check_fps

pytestmark = pytest.mark.media

SIZE = (64, 48)


def pictures(n_frames: int) -> list[npt.NDArray[np.uint8]]:
    """Something that moves."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    waves = [127 + 100 * np.sin((rows + 2 * columns + 3 * i) / 9.0) for i in range(n_frames)]
    return [np.repeat(wave[..., None], 3, axis=2).astype(np.uint8) for wave in waves]


def written(path: Path, frames: list[npt.NDArray[np.uint8]], fps: float) -> Part:
    with Writer(path, SIZE, fps, threads=PART_THREADS) as writer:
        for frame in frames:
            writer.write(frame)
    return Part(path, len(frames))


def packets(film: Path) -> list[tuple[int, int, bool]]:
    """Return decoding time, showing time (ticks) and whether it is a keyframe, of every frame."""
    command = [ffmpeg_exe(), "-v", "error", "-i", str(film), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(",") for line in said.splitlines() if not line.startswith("#")]
    return [(int(row[1]), int(row[2]), "F=" not in ",".join(row)) for row in rows]


@pytest.mark.parametrize("fps", [25, 29.97, 12.5, 59.94])
def test_joined_film_has_the_parts_own_frames_at_even_times(tmp_path: Path, fps: float) -> None:
    frames, rate = pictures(131), check_fps(fps)
    folder = tmp_path / "o'dd näme"  # which the list must not be split at
    folder.mkdir()
    cuts = borders(len(frames), rate, 1.2)
    parts = [written(folder / f".part-{i}.mp4", frames[a:b], fps) for i, (a, b) in enumerate(cuts)]
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, round(16000 * len(frames) / fps)).astype(np.float32)
    with Joiner(folder / "film.mp4", SIZE, fps, (sound, 16000), parts=parts):
        pass
    joined = list(read_frames(folder / "film.mp4"))
    apart = [frame for part in parts for frame in read_frames(part.path)]
    assert len(joined) == len(frames)
    assert all((a == b).all() for a, b in zip(joined, apart, strict=True))
    found = packets(folder / "film.mp4")
    for times in ([row[0] for row in found], sorted(row[1] for row in found)):
        assert len(set(np.diff(times))) == 1
    assert {path.name for path in folder.iterdir()} == {"film.mp4", *(part.path.name for part in parts)}
    with Writer(folder / "whole.mp4", SIZE, fps, (sound, 16000)) as writer:
        for frame in frames:
            writer.write(frame)
    hashes = [
        subprocess.run([ffmpeg_exe(), "-v", "error", "-i", folder / name, "-map", "0:a", "-f", "md5", "-"],
                       capture_output=True, check=True).stdout for name in ("film.mp4", "whole.mp4")
    ]  # fmt: skip
    assert hashes[0] == hashes[1]
    lengths = [probe(folder / name).duration_s for name in ("film.mp4", "whole.mp4")]
    assert lengths[0] == lengths[1]


def test_every_frame_is_in_one_part_and_no_time_is_rounded() -> None:
    for fps in (25, 29.97, 23.976, 17.3, 1, 60, 14.985):
        rate = check_fps(fps)
        for n_frames in (1, 2, 50, 1499, 20011):
            for longest_s in (0.6, 7.0, 300.0):
                cuts = borders(n_frames, rate, longest_s)
                assert [n for a, b in cuts for n in range(a, b)] == list(range(n_frames))
                assert all(Fraction(10**6 * a) / rate % 1 == 0 for a, _ in cuts)
                if rate.numerator < 100:
                    assert all((b - a) / rate <= longest_s + 1 / rate for a, b in cuts)


@pytest.mark.parametrize("harm", ["gone", "broken", "short"])
def test_film_that_lacks_frames_is_not_there(tmp_path: Path, harm: str) -> None:
    parts = [written(tmp_path / f"part-{i}.mp4", pictures(10), 25) for i in range(3)]
    if harm == "gone":
        parts[1].path.unlink()
    elif harm == "broken":
        parts[1].path.write_bytes(parts[1].path.read_bytes()[:300])
    else:
        parts[1] = parts[1]._replace(n_frames=11)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="cannot write"), Joiner(tmp_path / "film.mp4", SIZE, 25, parts=parts):
        pass
    assert {path.name for path in tmp_path.iterdir()} == before
