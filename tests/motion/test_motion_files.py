"""Motion files: npz keeps everything; csv with the traps of real takes; whatever is no motion is said in one line."""

from __future__ import annotations

import logging
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from portrait_anim.errors import MotionError, OptionError, OutputError
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.files import MotionFiles, read_motion
from portrait_anim.motion.livelink import RATES, read_csv, timecode
from portrait_anim.motion.space import Motion, MotionSpace

pytestmark = pytest.mark.media

TAKE = Path(__file__).parents[1] / "golden" / "take.csv"


@pytest.fixture(scope="module")
def space() -> MotionSpace:
    return MotionSpace.from_weights()


def random_motion(n_frames: int = 12, fps: float = 25.0, *, mesh: bool = True) -> Motion:
    rng = np.random.default_rng(3)
    rest = Motion.rest(n_frames)
    widths = {"expression": (len(TRACKS),), **({"mesh": (478, 3)} if mesh else {})}
    tracks = {
        name: rng.normal(0, 0.05, (n_frames, *widths.get(name, track.shape[1:]))).astype(np.float32)
        for name, track in rest.tracks().items()
    }
    tracks["blink"] = np.abs(tracks["blink"])
    return Motion(**tracks, fps=fps)


def save(path: Path, motions: list[Motion], space: MotionSpace, **how: object) -> list[Path]:
    with MotionFiles(path, len(motions), **how) as files:  # type: ignore[arg-type]
        files.write(motions, space)
    return files.paths


@pytest.mark.parametrize("mesh", [False, True])
@pytest.mark.parametrize("fps", [25, 30000 / 1001, 60])
def test_npz_keeps_everything(tmp_path: Path, space: MotionSpace, mesh: bool, fps: float) -> None:
    motion = random_motion(fps=fps, mesh=mesh)
    (path,) = save(tmp_path / "m.npz", [motion], space)
    back = read_motion(path, space)
    assert back.fps == fps
    for name, track in motion.tracks().items():
        np.testing.assert_array_equal(getattr(back, name), track)
    assert [file.name for file in tmp_path.iterdir()] == ["m.npz"]


def test_one_file_for_each_face(tmp_path: Path, space: MotionSpace) -> None:
    motions = [random_motion(5), random_motion(7)]
    paths = save(tmp_path / "two.npz", motions, space)
    assert [path.name for path in paths] == ["two-1.npz", "two-2.npz"]
    assert [len(read_motion(path, space)) for path in paths] == [5, 7]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("n_frames", [5, 200])
def test_csv_has_the_rate_and_the_length(tmp_path: Path, space: MotionSpace, fps: float, n_frames: int) -> None:
    motion = replace(Motion.rest(n_frames), fps=fps)
    (path,) = save(tmp_path / "m.csv", [motion], space)
    back = read_motion(path, space)
    assert back.fps == pytest.approx(fps, rel=1e-6)
    assert len(back) == n_frames


def test_csv_is_the_apps_layout(tmp_path: Path, space: MotionSpace) -> None:
    (path,) = save(tmp_path / "m.csv", [random_motion(3)], space)
    header, first, *_ = path.read_text("utf-8").splitlines()
    assert header.split(",") == ["Timecode", "BlendShapeCount", *VALUES]
    assert header.startswith("Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft")
    assert header.endswith("NoseSneerRight,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,"
                           "RightEyeYaw,RightEyePitch,RightEyeRoll")  # fmt: skip
    cells = first.split(",")
    assert cells[:2] == ["00:00:00:00.000", "61"]
    assert all(re.fullmatch(r"-?\d\.\d{10}", cell) for cell in cells[2:])


def test_timecodes_carry_over() -> None:
    assert timecode(59.9999999) == "00:01:00:00.000"
    assert timecode(3600 + 0.5) == "01:00:00:30.000"


def test_a_take_with_traps(space: MotionSpace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    motion = read_motion(TAKE, space)
    assert (len(motion), motion.fps) == (45, 30)
    assert motion.blink[20].tolist() == [1, 1]
    moved = space.displacement(motion, slice(None))
    opening = moved[:, 13, 1] - moved[:, 14, 1]
    assert opening.argmax() in (11, 12, 33, 34)
    assert moved[-1, 291, 1] > 0.05 > 10 * abs(moved[-1, 61, 1])  # the performer's left corner is the picture's right
    assert motion.gaze[:, 0] == pytest.approx(-0.2 * 0.61)  # to the performer's right
    assert [record.getMessage() for record in caplog.records] == [
        f"motion {TAKE} has no head angles: the head stays as in the photo"
    ]


def lines_of_take() -> list[list[str]]:
    return [line.split(",") for line in TAKE.read_text("utf-8").splitlines()]


def written(path: Path, rows: list[list[str]], separator: str = ",") -> Path:
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n", "utf-8")
    return path


def test_rates_that_are_no_base(tmp_path: Path) -> None:
    """24 rows a second whose FF counts 24, 30 whose FF counts 30, and 60 whose FF counts 60."""
    for rate in (24, 25, 30, 50, 60):
        rows = lines_of_take()
        body = [[f"10:00:{i // rate:02}:{i % rate:02}", *rows[1 + i % 45][1:]] for i in range(4 * rate)]
        take = read_csv(written(tmp_path / "t.csv", [rows[0], *body]))
        assert take.fps == rate
        assert len(take.values["JawOpen"]) == 4 * rate


def test_missing_rows_are_filled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = lines_of_take()
    whole = read_csv(TAKE).values["JawOpen"]
    take = read_csv(written(tmp_path / "t.csv", rows[:16] + rows[21:]))  # five are gone
    assert take.fps == pytest.approx(30)
    assert len(take.values["JawOpen"]) == 45
    np.testing.assert_allclose(take.values["JawOpen"][20:], whole[20:], atol=1e-6)
    assert "5 of 45 rows are missing" in caplog.text


def test_other_ways_to_write_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = lines_of_take()
    whole = read_csv(TAKE).values
    short = [re.sub(r"Left$", "_L", re.sub(r"Right$", "_R", name)) for name in rows[0]]
    semicolons = [[cell.replace(".", ",") for cell in row] for row in rows[1:]]
    for name, table, separator in (("a.csv", [short, *rows[1:]], ","), ("b.csv", [rows[0], *semicolons], ";"),
                                   ("c.csv", [[" " + name.upper() for name in rows[0]], *rows[1:]], ","),
                                   ("d.csv", [[*row[:-9]] for row in rows], "\t")):  # fmt: skip
        take = read_csv(written(tmp_path / name, table, separator))
        assert take.fps == pytest.approx(30)
        for column in ("JawOpen", "MouthSmileLeft", "EyeBlinkRight"):
            np.testing.assert_allclose(take.values[column], whole[column], atol=1e-6)
    with_bom = tmp_path / "e.csv"
    with_bom.write_bytes(b"\xef\xbb\xbf" + TAKE.read_bytes().replace(b"\n", b"\r\n"))
    assert read_csv(with_bom).fps == 30
    degrees = [rows[0], *([*row[:-9], "12.5", "0", "0", *row[-6:]] for row in rows[1:])]
    caplog.clear()
    assert read_csv(written(tmp_path / "f.csv", degrees)).values["HeadYaw"][0] == pytest.approx(np.radians(12.5))
    assert "taken as degrees" in caplog.text
    caplog.clear()
    no_time = [row[1:] for row in rows]
    assert read_csv(written(tmp_path / "g.csv", no_time)).fps == 30
    assert "30 rows a second are assumed" in caplog.text
    caplog.clear()
    cut = [*rows[:-1], rows[-1][:20]]
    assert len(read_csv(written(tmp_path / "h.csv", cut)).values["JawOpen"]) == 44
    assert "last row is cut" in caplog.text


def changed(row: int, column: str, text: str) -> list[list[str]]:
    rows = lines_of_take()
    rows[row][rows[0].index(column)] = text
    return rows


def without(*columns: str) -> list[list[str]]:
    rows = lines_of_take()
    kept = [i for i, name in enumerate(rows[0]) if name not in columns]
    return [[row[i] for i in kept] for row in rows]


BAD_CSV: dict[str, tuple[list[list[str]] | bytes, str]] = {
    "a column is missing": (without("jawOpen"), "lacks the columns JawOpen: add them"),
    "many are missing": (without(*[f"mouth{x}" for x in ("Close", "Funnel", "Pucker", "Left", "Right")]), "and 1 more"),
    "text in a cell": (changed(3, "jawOpen", "wide"), "line 4: JawOpen is 'wide', no number"),
    "an empty cell": (changed(3, "jawOpen", ""), "line 4: JawOpen is '', no number"),
    "NaN": (changed(5, "mouthClose", "nan"), "line 6: MouthClose is nan: give finite numbers"),
    "infinity": (changed(5, "HeadYaw", "-inf"), "line 6: HeadYaw is -inf"),
    "percent": (changed(5, "jawOpen", "45"), "JawOpen reaches 45, shapes go from 0 to 1"),
    "a short row": ([*lines_of_take()[:4], ["00:00:00:01"], *lines_of_take()[4:]], "line 5: the row is too short"),
    "only a header": (lines_of_take()[:1], "has no rows"),
    "another csv": ([["time", "x", "y"], ["0", "1", "2"]], "has none of ARKit's columns"),
    "no csv": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x00" * 50, "is no csv"),
    "nothing": (b"", "is an empty file"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(tmp_path: Path, space: MotionSpace, case: str) -> None:
    given, said = BAD_CSV[case]
    path = tmp_path / "bad.csv"
    if isinstance(given, bytes):
        path.write_bytes(given)
    else:
        written(path, given)
    with pytest.raises(MotionError, match=r"bad\.csv") as raised:
        read_motion(path, space)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_column_twice(tmp_path: Path, space: MotionSpace) -> None:
    rows = [[*row, row[20]] for row in lines_of_take()]
    with pytest.raises(MotionError, match="two columns"):
        read_motion(written(tmp_path / "bad.csv", rows), space)


def test_impossible_rates(tmp_path: Path, space: MotionSpace) -> None:
    rows = lines_of_take()
    slow = [rows[0], *([f"{i:02}:00:00:00.000", *row[1:]] for i, row in enumerate(rows[1:20]))]
    with pytest.raises(MotionError, match="rows a second by its timecodes"):
        read_motion(written(tmp_path / "bad.csv", slow), space)


def bad_npz(tmp_path: Path, space: MotionSpace) -> dict[str, tuple[Path, str]]:
    (good,) = save(tmp_path / "good.npz", [random_motion(4)], space)
    arrays = dict(np.load(good))
    cases: dict[str, tuple[Path, str]] = {}

    def case(name: str, said: str, **parts: object) -> None:
        path = tmp_path / f"{name}.npz"
        kept = {key: value for key, value in {**arrays, **parts}.items() if value is not None}
        np.savez(path, **kept)  # type: ignore[arg-type]
        cases[name] = (path, said)

    case("nan", "gaze is not finite", gaze=np.full((4, 2), np.nan, np.float32))
    case("shape", "gaze is (4, 3) float32, expected (4, 2)", gaze=np.zeros((4, 3), np.float32))
    case("doubles", "gaze is (4, 2) float64", gaze=np.zeros((4, 2)))
    case("short", "gaze is (3, 2)", gaze=np.zeros((3, 2), np.float32))
    case("flat", "has no frames", mouth=np.zeros(4, np.float32))
    case("none", "has no frames", mouth=np.zeros((0, 16), np.float32))
    case("lacks", "lacks a part", gaze=None)
    case("rate", "0 frames/s", fps=0.0)
    case("text", "lacks a part", fps="fast")
    case("newer", "version 2", version=2)
    case("version", "version x", version="x")
    case("else", "holds something else", format="a holiday")
    case("objects", "no npz of numbers", gaze=np.array([{}, 1], object))
    case("weights", "other weights", basis="0" * 16)
    for name, data, said in (
        ("pickle", pickle.dumps({"mouth": [1, 2]}), "no npz of numbers"),
        ("cut", good.read_bytes()[:-200], "no npz of numbers"),
        ("noise", b"\x01\x02" * 500, "no npz of numbers"),
    ):
        (tmp_path / f"{name}.npz").write_bytes(data)
        cases[name] = (tmp_path / f"{name}.npz", said)
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    cases["one array"] = (tmp_path / "one.npz", "no npz of numbers")
    return cases


def test_bad_npz(tmp_path: Path, space: MotionSpace) -> None:
    cases = bad_npz(tmp_path, space)
    assert len(cases) == 18
    for name, (path, said) in cases.items():
        with pytest.raises(MotionError) as raised:
            read_motion(path, space)
        assert said in str(raised.value), name
        assert path.name in str(raised.value), name
        assert "\n" not in str(raised.value), name


def test_npz_of_other_weights_without_a_mouth_is_played(tmp_path: Path, space: MotionSpace) -> None:
    other = MotionSpace.from_weights("open")
    (spoken,) = save(tmp_path / "a.npz", [random_motion()], other)
    (shapes,) = save(tmp_path / "b.npz", [read_motion(TAKE, other)], other)
    with pytest.raises(MotionError, match="other weights"):
        read_motion(spoken, space)
    assert len(read_motion(shapes, space)) == 45


def test_other_names_and_missing_files(tmp_path: Path, space: MotionSpace) -> None:
    with pytest.raises(OptionError, match=r"must end in \.npz or \.csv"):
        read_motion(tmp_path / "m.json", space)
    with pytest.raises(MotionError, match=r"gone\.csv not found"):
        read_motion(tmp_path / "gone.csv", space)
    with pytest.raises(OptionError, match=r"must end in \.npz or \.csv"):
        MotionFiles(tmp_path / "m.txt", 1)


def test_nothing_is_written_over_or_left_behind(tmp_path: Path, space: MotionSpace) -> None:
    target = tmp_path / "m.npz"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        MotionFiles(target, 1)
    with pytest.raises(OutputError, match="is read for this film"):
        MotionFiles(target, 1, overwrite=True, inputs=[target])
    with pytest.raises(OutputError, match="does not exist"):
        MotionFiles(tmp_path / "no" / "m.npz", 1)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match="a folder has that name"):
        MotionFiles(tmp_path / "folder.csv", 1, overwrite=True)
    files = MotionFiles(target, 1, overwrite=True)
    files.write([random_motion()], space)
    assert len(list(tmp_path.glob(".portrait_anim-*"))) == 1
    files.__exit__(RuntimeError, RuntimeError("the film could not be made"), None)
    assert target.read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.csv", "m.npz"]
    save(target, [random_motion()], space, overwrite=True)
    assert len(read_motion(target, space)) == 12
