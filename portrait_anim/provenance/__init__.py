"""How a film says what it is: a signed manifest, an invisible mark, plain metadata, and a label if wanted."""
