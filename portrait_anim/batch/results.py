"""results.csv: what became of every film, kept while the work goes on, so that it can be gone on with."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from portrait_anim.batch.places import inside, is_url, read_text, write_text
from portrait_anim.errors import OutputError
from portrait_anim.system.files import hidden_name, printable

NAME = "results.csv"
OPEN, DONE, FAILED = "open", "done", "failed"
STORE_EVERY_S = 10.0  # an object cannot be added to: it is written anew, at most this often


@dataclass(frozen=True)
class Result:
    """One film's line.

    Attributes:
        id: of the job.
        status: ``"open"`` (begun, or to be), ``"done"``, ``"failed"``.
        seconds: that the film took, of its last try.
        error: why it failed, in one line.
        sha256: of the film.
        content_id: that its marks carry, hexadecimal.
        inputs: the sum of the files and options it was made of.
    """

    id: str
    status: str
    seconds: str = ""
    error: str = ""
    sha256: str = ""
    content_id: str = ""
    inputs: str = ""


COLUMNS = tuple(part.name for part in fields(Result))


class Results:
    """The lines of OUT/results.csv; in a folder each is added as it comes, the last one of an id counts.

    Args:
        out: the folder or URL of the films.

    Raises:
        OutputError: it cannot be read or written, or is a file of something else.
    """

    def __init__(self, out: str) -> None:
        self.place = inside(out, NAME)
        self.lines: dict[str, Result] = {}
        self._file: IO[str] | None = None
        self._saved_s = 0.0
        try:
            text = read_text(self.place)
        except OSError as e:
            raise OutputError(f"cannot read {printable(self.place)} ({e.strerror}): check its permissions") from e
        if text and text.strip():
            reader = csv.DictReader(io.StringIO(text, newline=""))
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise OutputError(f"{printable(self.place)} is not a batch's: give another --out, or move it away")
            for row in reader:
                if None not in row and None not in row.values() and row["status"] in (OPEN, DONE, FAILED):
                    self.lines[row["id"]] = Result(**row)  # a line cut off by a crash is left out

    def add(self, results: Iterable[Result]) -> None:
        """Keep results.

        Raises:
            OutputError, StoreError: they cannot be written.
        """
        new = list(results)
        self.lines |= {result.id: result for result in new}
        if is_url(self.place):
            if time.monotonic() - self._saved_s > STORE_EVERY_S:
                self.save()
            return
        try:
            if self._file is None:
                self.save()
                self._file = Path(self.place).open("a", encoding="utf-8", newline="")  # noqa: SIM115
            else:
                self._file.write(_text(new))
                self._file.flush()
        except OSError as e:
            raise OutputError(f"cannot write {printable(self.place)} ({e.strerror}): free some space there") from e

    def save(self) -> None:
        """Write all lines anew, in the order of the jobs.

        Raises:
            OutputError, StoreError: they cannot be written.
        """
        text = ",".join(COLUMNS) + "\n" + _text(self.lines.values())
        self._saved_s = time.monotonic()
        if is_url(self.place):
            write_text(self.place, text)
            return
        self.close()
        temporary = hidden_name(Path(self.place))
        try:
            temporary.write_text(text, "utf-8", newline="")
            temporary.replace(self.place)
        except OSError as e:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot write {printable(self.place)} ({e.strerror}): free some space there") from e

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _text(results: Iterable[Result]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(asdict(result).values() for result in results)
    return text.getvalue()
