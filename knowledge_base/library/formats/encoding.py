"""Bytes of a text file as text, in the encoding that it is really in."""

from __future__ import annotations

from charset_normalizer import from_bytes

from knowledge_base.library.document import Unreadable

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAMPLE = 200_000
_MOST_CHAOS = 0.1  # share of odd neighbours, as charset-normalizer counts them


def decoded(data: bytes) -> str:
    """UTF-8, a marked UTF-16, or what charset-normalizer is sure of (GB 18030, Big5, Latin).

    Raises Unreadable where no encoding makes sense of the bytes: mangled characters would be
    found by nobody and believed by somebody.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise Unreadable(f"it says {encoding} and is not") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if b"\0" in data:
        raise Unreadable("it is no text: it holds zero bytes")
    best = from_bytes(data[:_SAMPLE]).best()
    if best is None or best.chaos > _MOST_CHAOS:
        raise Unreadable("its encoding cannot be told; save it as UTF-8")
    encoding = "gb18030" if best.encoding in ("gb2312", "gbk") else best.encoding
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it looks like {encoding} and is not; save it as UTF-8") from error
