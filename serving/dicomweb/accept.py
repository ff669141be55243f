"""Which form of an answer a caller accepts: media ranges by RFC 9110, with DICOM's parameters.

`multipart/related; type="application/dicom"; transfer-syntax=*` asks for parts of that type in
any transfer syntax (PS3.18 8.7.3.5). Nothing said means anything will do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from serving.errors import NotAcceptable

ANY = "*"
MULTIPART = "multipart/related"
_RANGE = re.compile(r'(?:[^,"]|"[^"]*")+')
_MOST_RANGES = 32


@dataclass(frozen=True)
class Wanted:
    """One acceptable form: a media type or range, of the parts where `multipart`.

    transfer_syntax: a UID, `*` for any, None where the caller does not say.
    """

    media_type: str
    multipart: bool = False
    transfer_syntax: str | None = None

    def takes(self, media_type: str) -> bool:
        """Whether the range holds that media type."""
        kind, _, sub = self.media_type.partition("/")
        offered, _, offered_sub = media_type.partition("/")
        return kind in (ANY, offered) and sub in (ANY, offered_sub)


def wanted(header: str) -> list[Wanted]:
    """The acceptable forms of an Accept header, most wanted first; never empty.

    Raises NotAcceptable where the header accepts nothing at all.
    """
    if not header.strip():
        return [Wanted("*/*")]
    found: list[tuple[float, Wanted]] = []
    for item in _RANGE.findall(header)[:_MOST_RANGES]:
        kind, options = parse_options_header(item.strip())
        media_type = kind.decode("latin-1")
        quality = _quality(options.get(b"q", b"1"))
        syntax = options.get(b"transfer-syntax")
        named = None if syntax is None else syntax.decode("latin-1")
        if quality <= 0 or "/" not in media_type:
            continue
        if media_type == MULTIPART:
            part = options.get(b"type", b"*/*").decode("latin-1").lower()
            found.append((quality, Wanted(part, multipart=True, transfer_syntax=named)))
        else:
            found.append((quality, Wanted(media_type, transfer_syntax=named)))
    if not found:
        raise NotAcceptable("the Accept header names no media type")
    found.sort(key=lambda pair: -pair[0])
    return [one for _, one in found]


def choose(header: str, offered: Sequence[str]) -> str:
    """The media type to answer with; the first of `offered` where several will do.

    Raises NotAcceptable.
    """
    for one in wanted(header):
        for media_type in offered:
            if not one.multipart and one.takes(media_type):
                return media_type
    raise NotAcceptable("here is " + ", ".join(offered))


def _quality(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
