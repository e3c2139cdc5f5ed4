"""Songs: UltraStar times, and real recordings through the whole motion model."""

from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT

from portrait_anim.errors import DataError
from portrait_anim.evaluation.songs import Syllables, channels, format_songs, karaoke, song_tables, timed_song
from portrait_anim.motion.model import MotionModel

pytestmark = pytest.mark.media

AUDIO = ROOT.parent / "shared" / "data" / "audio"
TEXT = "#TITLE:x\n#BPM:300\n#GAP:1000\n: 0 10 5 la\n- 12\n* 40 20 7 lo\nE\n"


def test_syllable_times(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text(TEXT, "utf-8")
    syllables = Syllables.read(path)
    np.testing.assert_allclose(syllables.start_s, [1.0, 3.0])
    np.testing.assert_allclose(syllables.end_s, [1.5, 4.0])
    sung = syllables.sung(125)
    assert sung.sum() == pytest.approx((0.5 + 1.0) * 25, abs=1)
    assert not sung[:24].any()
    assert syllables.sung(125, 0.2).sum() > sung.sum()
    path.write_text("#TITLE:x\n: 0 10 5 la\n", "utf-8")
    with pytest.raises(DataError, match="BPM and GAP"):
        Syllables.read(path)


def test_the_example_song_through_the_model(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text(TEXT, "utf-8")
    rows = timed_song(MotionModel.from_weights(), EXAMPLES / "song.flac", Syllables.read(path))
    assert rows["static photo"]["open_sung"] == 0
    assert rows["always open"] == {"open_sung": 1, "open_rest": 1, "r_times": 0}
    assert 0 <= rows["model"]["open_rest"] <= 1


@pytest.mark.skipif(not AUDIO.is_dir(), reason="shared/data is not here")
def test_karaoke_follows_the_voice_and_rests_without_it() -> None:
    clip = sorted((AUDIO / "song_left_music_right_voice").glob("*.opus"))[0]
    music, voice = channels(clip)
    assert len(music) == len(voice) > 16_000
    rows = karaoke(MotionModel.from_weights(), clip)
    assert rows["model"]["r_voice"] > rows["shuffled audio"]["r_voice"]
    assert rows["music alone"]["p95"] < 0.03
    assert rows["static photo"]["r_voice"] == 0
    assert "| model |" in format_songs({"karaoke": rows})


def test_a_folder_without_songs_has_no_tables(tmp_path: Path) -> None:
    assert song_tables(MotionModel.from_weights(), tmp_path) == {}
