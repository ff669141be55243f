"""JSON as this service stores and hashes it: one reader, one writer, one canonical form.

Never rounds, reorders for display or drops: what is read back is what was written. NaN and
the infinities are refused, because JSON has no word for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can say. Covariant, so that a `dict[str, float]` is one too."""

JsonObject: TypeAlias = Mapping[str, Json]


def dumps(value: object) -> str:
    """JSON text for a column. Readable characters, escaped only where UTF-8 has none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: keep it, as an escape
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def canonical(value: Json) -> bytes:
    """The one spelling of a value: sorted keys, no spaces, ASCII. What hashes are taken over."""
    return json.dumps(
        value, allow_nan=False, ensure_ascii=True, separators=(",", ":"), sort_keys=True
    ).encode("ascii")


def sha256_of(value: Json) -> str:
    """Hex sha256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()
