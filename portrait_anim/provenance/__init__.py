"""Marks that say a film is synthetic: a signed manifest, an invisible mark, metadata, and a label if wanted."""
