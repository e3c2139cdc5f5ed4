"""Face motion: how it is stored, and how it is made from a sound."""
