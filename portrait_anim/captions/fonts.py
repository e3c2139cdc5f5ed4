"""Finds a font for every script of some texts: one that was named, Pillow's own, or one of this machine.

Pillow's own font (Aileron, CC0) has the letters of English and comes first, so that such films look the same on every
machine. OpenCV's packages for Linux bring DejaVu (a free licence of its own): Latin, Greek, Cyrillic, Hebrew, Arabic.
No font of another script is shipped: one for Chinese alone is larger than all the code.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont, features

from portrait_anim.errors import OptionError
from portrait_anim.system.files import printable, readable_file

EAST_ASIAN = "CJK"
_EAST_ASIAN_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC")
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
MOST_FILES = 3000  # of fonts that are looked through
PROBE_PX = 20
# Families that suit captions come first, cuts that do not come last.
_LIKED = ("dejavusans", "notosans", "arial", "segoeui", "pingfang", "hiragino", "msyh", "yugoth", "malgun", "nirmala")
_DISLIKED = ("mono", "serif", "italic", "oblique", "condensed", "light", "thin", "black", "math", "symbol", "emoji")
SIMPLE = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", EAST_ASIAN)  # scripts drawn letter by letter
Font = tuple[str | None, int]  # file (None: Pillow's own) and number in it


def script_of(letter: str) -> str | None:
    """Return the name of a letter's script, as Unicode's names begin; None for digits, signs and spaces."""
    if unicodedata.category(letter)[0] not in "LM":
        return None
    name = unicodedata.name(letter, "UNKNOWN").split(" ")[0]
    if name == "COMBINING":
        return None
    return EAST_ASIAN if name in _EAST_ASIAN_NAMES or name == "FULLWIDTH" else name


def script(text: str) -> str:
    """Return the script of a word: that of its first letter; Latin where it has none, East Asian for their signs."""
    found = next(filter(None, map(script_of, text)), None)
    if found is None:
        wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in text)
        return EAST_ASIAN if wide else "LATIN"
    return found


class Fonts:
    """Fonts for some words.

    Args:
        words: all that will be drawn.
        named: a font file that is tried first.

    Attributes:
        missing: letters that no font here has, or whose script cannot be put together without the library raqm.

    Raises:
        OptionError: the named file is no font.
    """

    def __init__(self, words: Iterable[str], named: str | os.PathLike[str] | None = None) -> None:
        needed: dict[str, set[str]] = {}
        for word in words:
            needed.setdefault(script(word), set()).update(filter(_drawn, word))
        first = [] if named is None else [_named(named)]
        self._chosen: dict[str, Font] = {}
        missing: set[str] = set()
        for name, letters in needed.items():
            font, lacking = _best(name, letters, first)
            self._chosen[name] = font
            missing |= letters if name not in SIMPLE and not shapes() else lacking
        self.missing = "".join(sorted(missing))

    def font(self, word: str, size: int) -> ImageFont.FreeTypeFont:
        """Return the font of one of the words."""
        return _open(self._chosen[script(word)], size)


def shapes() -> bool:
    """Whether Pillow can join letters and order them from right to left."""
    return bool(features.check("raqm"))


def _drawn(letter: str) -> bool:
    return not letter.isspace() and unicodedata.category(letter) not in ("Cf", "Cc")


def _named(path: str | os.PathLike[str]) -> Font:
    file = str(readable_file(path, OptionError, "caption_font"))
    try:
        ImageFont.truetype(file, PROBE_PX)
    except OSError as e:
        raise OptionError(f"caption_font {printable(path)} is no font: give a .ttf, .otf or .ttc file") from e
    return file, 0


def _best(name: str, letters: set[str], first: list[Font]) -> tuple[Font, set[str]]:
    """Return the first font that has all letters, else the one that lacks the fewest, and which it lacks."""
    best: tuple[Font, set[str]] = ((None, 0), letters)
    for font in _candidates(first, letters if name == EAST_ASIAN else set()):
        lacking = {letter for letter in letters if not _has(font, letter)}
        if len(lacking) < len(best[1]):
            best = (font, lacking)
        if not lacking:
            break
    return best


def _candidates(first: list[Font], east_asian: set[str]) -> Iterator[Font]:
    yield from first
    yield (None, 0)
    for file in _files():
        yield (file, _region(file, east_asian) if east_asian and file.lower().endswith("c") else 0)


def _region(file: str, letters: set[str]) -> int:
    """Return which font of a collection has the forms of letters that are usual where these are written."""
    names = " ".join(unicodedata.name(letter, "") for letter in letters)
    wanted = " JP" if "KATAKANA" in names or "HIRAGANA" in names else " KR" if "HANGUL" in names else " SC"
    for number in range(10):
        try:
            family = str(ImageFont.truetype(file, PROBE_PX, index=number).getname()[0])
        except OSError:
            return 0
        if wanted in f"{family} " and "Mono" not in family:
            return number
    return 0


@cache
def _files() -> tuple[str, ...]:
    """Return this machine's font files, those that suit captions first."""
    found: set[str] = set()
    for folder in _folders():
        for root, _, names in os.walk(folder):
            found.update(str(Path(root) / name) for name in names if name.lower().endswith(_SUFFIXES))
            if len(found) > MOST_FILES:
                break

    def order(file: str) -> tuple[int, int, int, str]:
        name = Path(file).stem.lower().replace("-", "").replace(" ", "")
        liked = next((place for place, family in enumerate(_LIKED) if name.startswith(family)), len(_LIKED))
        return sum(word in name for word in _DISLIKED), liked, len(name), file

    return tuple(sorted(found, key=order))


def _folders() -> list[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (never fails)
    if sys.platform == "win32":
        system = Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
        return [system, home / "AppData/Local/Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    opencv = [
        Path(place) / "qt" / "fonts"
        for place in getattr(importlib.util.find_spec("cv2"), "submodule_search_locations", None) or []
    ]
    return [*opencv, home / ".local/share/fonts", home / ".fonts", *(Path(part) / "fonts" for part in data.split(":"))]


@lru_cache(maxsize=64)
def _open(font: Font, size: int) -> ImageFont.FreeTypeFont:
    file, number = font
    if file is not None:
        return ImageFont.truetype(file, size, index=number)
    own = ImageFont.load_default(size)
    if not isinstance(own, ImageFont.FreeTypeFont):
        raise OptionError("captions in the picture need Pillow with FreeType: pip install --force-reinstall pillow")
    return own.font_variant(layout_engine=ImageFont.Layout.RAQM) if shapes() else own  # brackets turn in it too


def _has(font: Font, letter: str) -> bool:
    """Return whether a font has a letter: what it draws is not what it draws for an unassigned one."""
    try:
        opened = _open(font, PROBE_PX)
        return bytes(opened.getmask(letter)) != bytes(opened.getmask("\U000effff"))
    except OSError:  # a damaged file
        return False
