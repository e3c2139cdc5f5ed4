"""Weights of others, converted."""
