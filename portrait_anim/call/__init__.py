"""A live face in a call: a page in the browser, and the connection behind it (extra ``live``: aiortc, uvicorn)."""
