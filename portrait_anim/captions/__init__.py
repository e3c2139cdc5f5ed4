"""Captions: files of lines and their times, as a track of the film or drawn into its pixels, never over a mouth."""
