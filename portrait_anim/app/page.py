"""The page in the browser: the same program with a form (extra ``app``: gradio)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from portrait_anim.errors import DependencyError, PortraitAnimError
from portrait_anim.options import AUTO, EMOTIONS, WEIGHT_SETS
from portrait_anim.pipeline import animate
from portrait_anim.video.target import default_output

KEEP_S = 3600  # s that the page's photos, sounds and films stay on the disk; at its end all are deleted
SWEEP_S = 300  # s from one search for older ones to the next
CONSENT = (
    "Animate real people only with their consent. No sexual, deceptive or defamatory use. "
    "Every film is marked as synthetic, in its pixels and by a signature."
)


class Films:
    """A temporary folder for films. The page copies each finished film, so all but the last two are deleted.

    The folder is deleted with this object, at the latest when the program ends.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="portrait_anim-", ignore_cleanup_errors=True)
        self._made: deque[Path] = deque()

    def place(self, photo: str, sound: str) -> Path:
        """Return where to write the film of a photo and a sound; of the earlier films only the last is kept."""
        while len(self._made) > 1:
            shutil.rmtree(self._made.popleft(), ignore_errors=True)
        self._made.append(Path(tempfile.mkdtemp(dir=self._folder.name)))
        return self._made[-1] / default_output(photo, [sound])


def build() -> Any:
    """Return the page, a ``gradio.Blocks``.

    Its nets stay loaded. Photos, sounds and films are deleted after an hour, and all of them when the page ends.

    Raises:
        DependencyError: gradio is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing about a photo leaves the machine
    try:
        import gradio as gr
    except ImportError as e:
        raise DependencyError('the page in the browser needs gradio: pip install "portrait-anim[app]"') from e

    def make(
        photo: str | None, sound: str | None, emotion: str, strength: float, head_motion: float, blinks: float,
        seed: float, weights: str, progress: Any = gr.Progress(),  # noqa: B008 (gradio's way)
    ) -> tuple[str, str]:  # fmt: skip
        if not photo or not sound:
            raise gr.Error("Give a photo and a sound.")
        try:
            film = animate(
                photo, sound, films.place(photo, sound), emotion=f"{emotion}:{strength:g}", head_motion=head_motion,
                blinks=blinks, seed=int(seed), weights=weights,
                progress=lambda done, total: progress((done, total), unit="frames"),
            )  # fmt: skip
        except PortraitAnimError as e:
            raise gr.Error(str(e)) from e
        return str(film.path), f"{film.duration_s:.2f} s, {film.n_frames} frames, {film.size[0]}x{film.size[1]}"

    films = Films()
    with gr.Blocks(title="portrait_anim", delete_cache=(SWEEP_S, KEEP_S)) as page:
        gr.Markdown(f"# One photo talks or sings\n{CONSENT}")
        with gr.Row():
            with gr.Column():
                photo = gr.Image(type="filepath", label="photo", sources=["upload", "clipboard"])
                sound = gr.Audio(type="filepath", label="speech or song", sources=["upload", "microphone"])
                emotion = gr.Dropdown([*EMOTIONS, AUTO], value="neutral", label="emotion")
                strength = gr.Slider(0, 1.5, 1.0, label="strength of the emotion")
                with gr.Accordion("more", open=False):
                    head_motion = gr.Slider(0, 2, 1.0, label="head motion")
                    blinks = gr.Slider(0, 3, 1.0, label="blinks")
                    seed = gr.Number(0, precision=0, minimum=0, label="seed")
                    weights = gr.Radio(list(WEIGHT_SETS), value="default", label="weights")
                start = gr.Button("Make the film", variant="primary")
            with gr.Column():
                film = gr.Video(label="film", interactive=False)
                said = gr.Markdown()

        given = [photo, sound, emotion, strength, head_motion, blinks, seed, weights]
        start.click(make, given, [film, said], api_name="animate", concurrency_limit=1)
    return page
