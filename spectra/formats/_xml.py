"""XML from strangers: no entities, no external parts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ..errors import FormatError

_ENTITY = re.compile(rb"<!\s*ENTITY", re.IGNORECASE)


def parse(data: bytes, name: str) -> ElementTree.Element:
    """Parse XML that declares no entities.

    Parameters
    ----------
    data : bytes
        The document.
    name : str
        File name for messages.

    Returns
    -------
    xml.etree.ElementTree.Element

    Raises
    ------
    FormatError
        If it is not well-formed (truncated), not in a one-byte encoding, or declares entities.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:64]:
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise FormatError(f"{name}: the XML is neither UTF-8 nor whole UTF-16") from None
    if _ENTITY.search(data):
        raise FormatError(f"{name}: the XML declares entities; that is not allowed")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 (entities are refused above)
    except (ElementTree.ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
        raise FormatError(f"{name}: XML: {error}: the file is truncated or not XML") from None
