"""Data preparation and training; nothing at run time imports it."""
