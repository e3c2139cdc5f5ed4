"""Plain metadata: writes XMP with IPTC's digital source type into films, and reads such fields in any file.

Anyone can remove or forge these; they are for programs that read nothing else.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from portrait_anim.version import __version__

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
COMMENT = "Synthetic: a still photo animated by portrait_anim. Marked under C2PA and by an invisible watermark."
SYNTHETIC_TYPES = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "compositeSynthetic",
    "virtualRecording",
)
# XMP's spelling, as attribute or element; a manifest's own field has a small d and is read by ``manifest``
_SYNTHETIC = re.compile(
    rf"DigitalSourceType[=\"'\s>]{{1,8}}[a-z:/.]*/digitalsourcetype/({'|'.join(SYNTHETIC_TYPES)})".encode()
)
# the last four are reserved codes and fields for those who distribute the film
AIGC_FIELDS = (
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
)  # fmt: skip
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # Adobe's, for XMP in ISO base media files
_PNG_HEADER = 33  # bytes: signature and IHDR
_CHUNK = 1 << 20
_TEMPLATE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"
 Iptc4xmpExt:DigitalSourceType={source_type}
 xmp:CreatorTool={tool}>
<TC260:AIGC>{aigc}</TC260:AIGC>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def xmp(content_id: int) -> str:
    """Return the XMP packet of a film: IPTC's digital source type, and the seven fields of GB 45438-2025."""
    aigc = dict.fromkeys(AIGC_FIELDS, "")
    aigc |= {"Label": "1", "ContentProducer": "portrait_anim", "ProduceID": f"{content_id:08x}"}
    return _TEMPLATE.format(
        source_type=quoteattr(COMPOSITE),
        tool=quoteattr(f"portrait_anim {__version__}"),
        aigc=escape(json.dumps(aigc)),
    )


def append_xmp(path: str | os.PathLike[str], packet: str) -> None:
    """Append the packet to an mp4 as a box of its own. Do it before signing: the signature covers it.

    Raises:
        OSError: the file cannot be written.
    """
    data = packet.encode()
    with Path(path).open("ab") as file:
        file.write(struct.pack(">I4s", 24 + len(data), b"uuid") + _XMP_UUID + data)


def insert_xmp(path: str | os.PathLike[str], packet: str) -> None:
    """Put the packet into a png, after its header. Do it before signing.

    Raises:
        OSError: the file cannot be read or written.
    """
    body = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + packet.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[:_PNG_HEADER] + chunk + data[_PNG_HEADER:])


def source_type(path: str | os.PathLike[str]) -> str | None:
    """Return the synthetic IPTC digital source type that a file's XMP names, None without one.

    Raises:
        OSError: the file cannot be read.
    """
    tail = b""
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            if match := _SYNTHETIC.search(tail + chunk):
                return match[1].decode()
            tail = chunk[-256:]
    return None


def names_portrait_anim(path: str | os.PathLike[str]) -> bool:
    """Return whether an mp4's XMP or comment names this program. Raises OSError as ``source_type`` does."""
    tail = b""
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            if b"animated by portrait_anim" in tail + chunk or b'CreatorTool="portrait_anim' in tail + chunk:
                return True
            tail = chunk[-128:]
    return False
