"""Text in: real engines speak, faces follow, and the manifest says what spoke."""

import itertools
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from conftest import run_cli
from PIL import Image

from portrait_anim import Animator, animate, say
from portrait_anim.audio import spoken, voices
from portrait_anim.audio.spoken import Speech, say_lines
from portrait_anim.errors import DependencyError, OptionError
from portrait_anim.provenance.manifest import GENERATION
from portrait_anim.provenance.verify import verify

pytestmark = pytest.mark.media

TEXT = "Mama made plum jam. Papa brought a big brown bag."
DIALOGUE = f"""hers: {TEXT}
his: I am going home. Are you coming along,
or are you going to wait?
hers: I am on my way.
"""
OPEN_IOD = 0.03  # a mouth that is seen to be open

espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def opening(animator: Animator, motion_number: int, speeches: list[Speech]) -> np.ndarray:
    motion = animator.motions(list(speeches))[motion_number]
    return np.asarray(animator._nets.space.aperture(motion.mouth))


def test_the_same_text_is_the_same_speech_and_moves_the_mouth(small_astronaut: Path) -> None:
    speech, again, other = say(TEXT), say(TEXT), say("Good morning.")
    assert np.array_equal(speech[0], again[0])
    assert 2 < len(speech[0]) / speech[1] < 6  # ten words
    assert len(other[0]) < len(speech[0]) / 2
    assert list(speech.models) == [f"hibari-tts {version('hibari-tts')}, voice heart"]
    lips = opening(Animator(small_astronaut), 0, [speech])
    assert np.mean(lips > OPEN_IOD) > 0.4
    assert np.sum(np.diff((lips > OPEN_IOD).astype(int)) == 1) >= 4  # ten closures /m p b/, some of which are short


@espeak
def test_speakers_take_turns(small_astronaut: Path, tmp_path: Path) -> None:
    couple = tmp_path / "couple.png"
    one = np.asarray(Image.open(small_astronaut).convert("RGB"))
    Image.fromarray(np.hstack([one, one[:, ::-1]])).save(couple)
    hers, his = speeches = say_lines(DIALOGUE, {"his": "en-us"})
    lengths_s = [len(speech[0]) / speech[1] for speech in speeches]
    assert lengths_s[0] == pytest.approx(lengths_s[1], abs=0.01)
    assert "espeak-ng" in next(iter(his.models))
    animator = Animator(couple, face=(1, 2))
    motions = animator.motions([hers, his])
    lips = [np.asarray(animator._nets.space.aperture(motion.mouth)) for motion in motions]
    n_frames = len(lips[0])
    heard = []
    for waveform, rate in (hers, his):
        ends = (np.arange(n_frames + 1) / 25 * rate).astype(int)
        heard.append([np.abs(waveform[a:b]).max(initial=0) > 0.01 for a, b in itertools.pairwise(ends)])
    speaks = np.array(heard)
    assert not (speaks[0] & speaks[1]).any()
    for own in (0, 1):
        mine, others = lips[own][speaks[own]].mean(), lips[own][speaks[1 - own]].mean()
        assert mine > 4 * max(others, 0.005), (own, mine, others)


@espeak
def test_the_command_makes_a_film_of_lines_that_says_what_spoke(small_astronaut: Path, tmp_path: Path) -> None:
    import c2pa

    couple, lines = tmp_path / "couple.png", tmp_path / "lines.txt"
    one = np.asarray(Image.open(small_astronaut).convert("RGB"))
    Image.fromarray(np.hstack([one, one[:, ::-1]])).save(couple)
    lines.write_text("hers: Good morning.\nhis: Hello.\n", "utf-8")
    chosen = ["--voice", "hers=heart", "--voice", "his=en-gb"]
    done = run_cli([couple, "--say", lines, *chosen, "-o", "film.mp4", "-q"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert verify(tmp_path / "film.mp4").marked
    with c2pa.Reader(tmp_path / "film.mp4") as reader:
        manifest = json.loads(reader.json())
    assertions = manifest["manifests"][manifest["active_manifest"]]["assertions"]
    models = next(item["data"]["models"] for item in assertions if item["label"] == GENERATION)
    engines = {model["name"]: model["sha256"] for model in models if "voice " in model["name"]}
    assert [name.split()[0] for name in sorted(engines)] == ["espeak-ng", "hibari-tts"]
    assert all(len(digest) == 64 for digest in engines.values())


@espeak
def test_other_languages_are_spoken_by_espeak() -> None:
    german = say("Guten Morgen, meine Damen und Herren.", "de")
    assert 1 < len(german[0]) / german[1] < 5
    assert len(say("Доброе утро", "ru")[0]) > 5000
    assert not np.array_equal(say("Hello", "en-us")[0], say("Hello", "en-us+f3")[0])
    assert len(say("-v --help", "en")[0]) > 5000  # text is never taken for an option


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import urllib.request

    def fetch(*_: object, **__: object) -> None:
        raise AssertionError("it asked a host")

    monkeypatch.setattr(urllib.request, "urlopen", fetch)
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    with pytest.raises(OptionError, match="voice emma is not on this machine, and nothing is fetched: save https://"):
        say("Hello", "emma")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--say", ""], "there is nothing to say"),
        (["--say", "... !"], "there is nothing to say"),
        (["--say", "Привет"], "voice heart speaks English and cannot read"),
        (["--say", "hi", "--voice", "../../x"], "unknown voice '../../x'"),
        (["--say", "hi", "--voice", "a=heart"], "is of a dialogue"),
        (["--say", "hi", "sound.wav"], "a sound and --say are given"),
        (["--say", "missing.txt"], "text missing.txt not found"),
        (["--voice", "heart"], "--voice is of a text"),
    ],
)
def test_bad_texts_are_one_line(
    arguments: list[str], line: str, small_astronaut: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from portrait_anim.cli.main import animate_main

    monkeypatch.chdir(tmp_path)
    assert animate_main([str(small_astronaut), *arguments]) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: ")
    assert line in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@espeak
def test_an_unknown_espeak_voice_is_told() -> None:
    with pytest.raises(OptionError, match="unknown voice 'nonsense'"):
        say("hi", "nonsense")


def test_without_an_engine_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(voices, "_hibari_voices", lambda **_: [])
    for voice in (None, "de"):
        with pytest.raises(DependencyError, match=r"portrait-anim\[say\]"):
            say("hi", voice)


def test_lines_with_and_without_names() -> None:
    assert spoken._lines("a: x: y\n\n  more \nB c: z") == [("a", "x: y"), ("a", "more"), ("B c", "z")]
    assert spoken._lines("Once upon a time\nhe said: no") == [("", "Once upon a time"), ("", "he said: no")]
    with pytest.raises(OptionError, match="'him' says nothing: the speakers are hers, his"):
        say_lines("hers: hi\nhis: ho", {"him": "heart"})


def test_a_film_of_a_text_from_python(small_astronaut: Path, tmp_path: Path) -> None:
    film = animate(small_astronaut, say("Hello."), tmp_path / "film.mp4")
    assert film.duration_s == pytest.approx(len(say("Hello.")[0]) / 24_000, abs=0.05)
