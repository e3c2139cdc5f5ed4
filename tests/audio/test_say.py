"""A text that is spoken: with the real espeak-ng where it is installed, and with a stand-in for what can go wrong."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES, cut

from portrait_anim import Animator, animate
from portrait_anim.audio.say import PAUSE_S, speak
from portrait_anim.errors import DependencyError, OptionError
from portrait_anim.motion.space import MotionSpace

pytestmark = pytest.mark.media

STAND_IN = """#!{python}
import sys
with open({log!r}, "a") as log:
    log.write(repr((sys.argv[1:], sys.stdin.buffer.read().decode())) + "\\n")
if "xx" in sys.argv:
    sys.exit("Error: The specified espeak-ng voice does not exist.")
if "broken" in sys.argv:
    sys.exit("out of order")
data = open({wav!r}, "rb").read()
sys.stdout.buffer.write(data[:4] + b"\\xff\\xff\\xff\\x7f" + data[8:40] + b"\\xff\\xff\\xff\\x7f" + data[44:])
"""


@pytest.fixture
def stand_in(tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called espeak-ng that says half a second of real speech, whatever it is told."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    wav, log = cut(speech, tmp_path / "half.wav", 0.5, 1.0), tmp_path / "log.txt"
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "espeak-ng"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log), wav=str(wav)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def test_a_text_is_spoken_sentence_by_sentence(stand_in: Path) -> None:
    samples, rate = speak('He came. "Who?" she said.\n你好。再见 3.5 times', "en-us")
    told = [eval(line) for line in stand_in.read_text().splitlines()]  # noqa: S307 (our own)
    assert [text for _, text in told] == ["He came.", '"Who?', "she said.", "你好。", "再见 3.5 times"]
    assert all(arguments[:2] == ["-v", "en-us"] for arguments, _ in told)
    assert rate == 16_000
    assert len(samples) == 5 * 8000 + 4 * round(PAUSE_S * rate)
    assert not samples[8000 : 8000 + round(PAUSE_S * rate)].any()
    assert 0.02 < np.abs(samples).max() <= 1


def test_a_said_film_moves_its_lips_and_is_named_so(
    stand_in: Path, tmp_path: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = animate(astronaut, say="One. Two.", voice="de", max_size=256)
    assert film.path.name == "astronaut_said.mp4"
    assert film.duration_s == pytest.approx(1.3, abs=0.03)
    assert np.ptp(MotionSpace.from_weights().aperture(film.motion.mouth)) > 0.05
    with pytest.raises(OptionError, match="'xx' is none of espeak-ng's"):
        animate(astronaut, say="One.", voice="xx", overwrite=True)
    with pytest.raises(DependencyError, match=r"does not speak \(out of order\)"):
        animate(astronaut, say="One.", voice="broken", overwrite=True)


def test_without_the_program_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match=r"say needs the program espeak-ng, .*apt install espeak-ng"):
        speak("Hello", "en-us")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_real_program_opens_the_mouth_and_knows_languages(astronaut: Path) -> None:
    samples, rate = speak("Mama met Papa. They were happy.", "en-us")
    assert 1.5 < len(samples) / rate < 6
    german, _ = speak("Mama met Papa. They were happy.", "de")
    assert len(german) != len(samples)
    (motion,) = Animator(astronaut).motions(say="Mama met Papa. They were happy.")
    opening = MotionSpace.from_weights().aperture(motion.mouth)
    assert np.ptp(opening) > 0.08
    with pytest.raises(OptionError, match="nothing in the text can be spoken"):
        speak("...", "en-us")
    with pytest.raises(OptionError, match="none of espeak-ng's"):
        speak("Hello", "xx-zz")


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"say": " "}, "give a text of at least one word"),
        ({"say": 3}, "give a text of at least one word"),
        ({"say": "x" * 20_001}, "more than 20000"),
        ({"say": "Hi", "voice": "../../etc/passwd"}, "cannot be read"),
        ({"say": "Hi", "voice": "-w"}, "cannot be read"),
        ({"voice": "de"}, "give --say too"),
        ({"say": "Hi", "idle": 5}, "give a sound or --idle SECONDS, not both"),
    ],
)
def test_bad_values_are_one_line(astronaut: Path, stand_in: Path, choices: dict[str, Any], told: str) -> None:
    animator = Animator(astronaut)
    with pytest.raises(OptionError) as error:
        animator.motions(**choices)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(OptionError, match="give a sound or --say TEXT, not both"):
        animator.motions(EXAMPLES / "speech.flac", say="Hi")
