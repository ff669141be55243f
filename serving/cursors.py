"""Cursors of lists: where a page ended, as opaque text that the caller gives back.

A cursor holds the last row's place in the order of its list, so rows that come or go between two
pages neither repeat nor hide others. It is not secret and not signed: reading it checks it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from serving.errors import FieldError, InvalidInput
from serving.storage.canonical import Json

Place = TypeVar("Place")


def write_cursor(*place: Json) -> str:
    """The place as URL-safe text."""
    return base64.urlsafe_b64encode(json.dumps(place).encode("ascii")).decode("ascii")


def read_cursor(cursor: str, parse: Callable[[Sequence[str | int]], Place]) -> Place:
    """The place that `write_cursor` was given, by way of `parse`, which may raise ValueError.

    Raises InvalidInput for what is no cursor of this list.
    """
    try:
        return parse(json.loads(base64.urlsafe_b64decode(cursor)))
    # Whatever a foreign text makes of base 64, JSON and the parts of a place.
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, binascii.Error):
        raise InvalidInput(errors=[FieldError("/cursor", "not a cursor of this list")]) from None
