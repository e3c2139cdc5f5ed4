"""A long film in parts: all motion is made at once, parts are drawn and encoded anywhere, then they are joined.

Hearing and moving take a small share of the time, and go over the whole sound in windows that reach into each other;
drawing and encoding, which take nearly all of it, know one frame at a time. So that is what is cut. A part gets the
motion of its own frames. The invisible mark, label and captions go by a frame's number in the film.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from portrait_anim import stages
from portrait_anim.animation import Frame, Progress, SoundLike, Steps
from portrait_anim.errors import PortraitAnimError
from portrait_anim.motion.space import Motion
from portrait_anim.options import FilmOptions, PhotoOptions
from portrait_anim.options.names import photo_choices
from portrait_anim.pipeline import Animator
from portrait_anim.provenance.marker import film_marker
from portrait_anim.video.joiner import PART_THREADS, Joiner, Part, borders
from portrait_anim.video.writer import Writer, check_fps


@dataclass(frozen=True)
class Plan:
    """What all parts of a film share, and how its faces move.

    Attributes:
        motions: one a face, of all frames or of a part's.
        content_id: that the marks carry.
        duration_s: of the sound.
        borders: of the parts: first frame, and the one after the last.
    """

    motions: tuple[Motion, ...]
    content_id: int
    duration_s: float
    borders: tuple[tuple[int, int], ...]

    def part(self, number: int) -> Plan:
        """Return the same with the motion of one part."""
        return replace(self, motions=tuple(_cut(motion, *self.borders[number]) for motion in self.motions))


def _cut(motion: Motion, first: int, end: int) -> Motion:
    tracks: dict[str, Any] = {name: track[first:end].copy() for name, track in motion.tracks().items()}
    return replace(motion, **tracks)


class CutFilm(Animator):
    """One film that may be made in parts.

    Args:
        photo: a path.
        sounds: paths.
        choices: all options of :func:`portrait_anim.animate`, but progress and overwrite.
        progress: as there.
    """

    def __init__(self, photo: str, sounds: Sequence[str], choices: Mapping[str, Any], progress: Progress) -> None:
        film = {part.name for part in fields(FilmOptions) if part.init}
        self._options = FilmOptions(**{name: value for name, value in choices.items() if name in film})
        seen = PhotoOptions(**{name: value for name, value in choices.items() if name not in film})
        self._sounds: list[SoundLike] = list(sounds)
        self._step = Steps(progress)
        super().__init__(photo, **photo_choices(seen, len(self._options.motions) or len(sounds)))

    def plan(self, output: Path, longest_s: float, *, overwrite: bool) -> Plan | None:
        """Return how the film is cut into parts of at most ``longest_s``; make it at once, and return None, if it is short.

        Raises:
            PortraitAnimError: as :func:`portrait_anim.animate`.
        """  # noqa: E501
        driver, film = self._begin(self._sounds, output, self._options, self._step, overwrite=overwrite)
        rate = check_fps(self._options.fps)
        cuts = tuple(borders(max(1, round(driver.duration_s * float(rate))), rate, longest_s))
        if len(cuts) == 1:
            del driver
            self._film(self._sounds, output, self._options, self._step, overwrite=overwrite)
            return None
        motions = stages.perform(driver, self._targets, self._options, self._scene)
        return Plan(motions, film.record.content_id, driver.duration_s, cuts)

    def part(self, plan: Plan, number: int, target: Path) -> None:
        """Draw and encode a part.

        Args:
            plan: with the motion of this part's frames.
            number: of the part.
            target: the file to write.

        Raises:
            PortraitAnimError: as :func:`portrait_anim.animate`.
        """
        first, end = plan.borders[number]
        over = stages.Overlays(self._options, self.size)
        painter, rate = over.fit(self.faces, plan.duration_s), stages.frame_rate(self._options)
        marker = film_marker(self._scene.still, rate, plan.content_id, over.style, painter)
        writer = Writer(target, self.size, self._options.fps, overwrite=True, threads=PART_THREADS)
        drawn = stages.draw(plan.motions, self._nets.space, self._scene, marker, first)
        with writer, closing(drawn) as frames:
            for done, frame in enumerate(frames, 1):
                writer.write(frame.pixels)
                self._step("drawing", done, end - first)

    def join(self, plan: Plan, parts: Sequence[Path], output: Path, *, overwrite: bool) -> None:
        """Make the film of its parts.

        Args:
            plan: with the motion of all frames.
            parts: in their order, in one folder.
            output: the film.
            overwrite: replace one that is there.

        Raises:
            PortraitAnimError: as :func:`portrait_anim.animate`; or its inputs are not those of the plan any more.
        """
        driver, film = self._begin(self._sounds, output, self._options, self._step, overwrite=overwrite)
        del driver
        if film.record.content_id != plan.content_id:
            raise PortraitAnimError("photo, sound or another input was changed while the film was made: start it again")
        counted = [Part(path, end - first) for path, (first, end) in zip(parts, plan.borders, strict=True)]
        writer = Joiner(*film.file, parts=counted, **film.about)
        none: Generator[Frame, None, None] = (frame for frame in list[Frame]())
        stages.write_film(plan.motions, self._nets.space, none, writer, film.record, film.saved, self._step)
