"""The errors this library raises on purpose.

Each message is one line: what happened, to which input, what to do next. The command line prints it
after ``error:`` and exits with 2; anything that is not a :class:`PortraitAnimError` is a bug.
"""

from __future__ import annotations


class PortraitAnimError(Exception):
    """Base of every error a caller is meant to catch."""


class AudioError(PortraitAnimError):
    """The sound cannot be used: unreadable, empty, too short, not finite, no audio track."""


class PhotoError(PortraitAnimError):
    """The picture cannot be used: unreadable, too large, too small."""


class NoFaceError(PhotoError):
    """No face (or not the asked-for one) was found in the picture."""


class VideoError(PortraitAnimError):
    """The video cannot be read: missing, not a video, damaged."""


class MotionError(PortraitAnimError):
    """The motion file cannot be used: missing, not one of ours or ARKit's, columns missing, not finite, no frames."""


class CaptionError(PortraitAnimError):
    """The captions cannot be used: missing, not one of the formats, times that cannot be read or go backwards."""


class OptionError(PortraitAnimError, ValueError):
    """An option has a value outside its range."""


class OutputError(PortraitAnimError):
    """The film cannot be written: it exists already, the folder is missing, the encoder failed."""


class WeightsError(PortraitAnimError):
    """A weight file is missing or does not match its registry entry."""


class DependencyError(PortraitAnimError):
    """A library or a system package that this feature needs is not on the machine."""


class ForkError(PortraitAnimError):
    """This process was forked from one that had run the nets; they would hang here."""


class LimitError(PortraitAnimError):
    """An upload, a picture, a sound or an option is over what a service allows."""


class BusyError(LimitError):
    """A service has as many films waiting as it takes."""


class JobsError(PortraitAnimError):
    """A list of films to make cannot be used: unreadable, empty, unknown columns, ids that are no file names."""


class StoreError(PortraitAnimError):
    """An object store (a URL) cannot be read or written."""


class DataError(PortraitAnimError):
    """Training or evaluation data is missing or unusable."""
