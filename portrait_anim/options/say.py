"""What a text must be to be spoken, and how a voice is named."""

from __future__ import annotations

import re

from portrait_anim.errors import OptionError

DEFAULT_VOICE = "en-us"
MAX_LETTERS = 20_000  # about half an hour
_VOICE = re.compile(r"[A-Za-z][\w+-]*(/[A-Za-z][\w+-]*)*", re.ASCII)  # of espeak-ng: en-us, gmw/en-US, fr+f3


def check_say(text: object, voice: object) -> None:
    """Raise OptionError unless the text can be spoken and the voice be named so."""
    if text is None:
        if voice is not None:
            raise OptionError("voice is that of a text: give --say too (say='...')")
        return
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise OptionError("say: give a text of at least one word")
    if len(text) > MAX_LETTERS:
        raise OptionError(f"say: the text has {len(text)} letters, more than {MAX_LETTERS}: make several films of it")
    if voice is not None and not (isinstance(voice, str) and _VOICE.fullmatch(voice)):
        raise OptionError(
            f"voice {voice!r} cannot be read: give a name as espeak-ng --voices lists them, as en-us or de"
        )
