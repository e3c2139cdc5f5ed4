"""Measures and tables; nothing at run time imports it."""
