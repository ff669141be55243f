"""Requests as bytes, rendered once before the clock runs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eval.serving.connections import Address

_CYCLE = 2000
_SEED = 20240


@dataclass(frozen=True)
class Body:
    """What is posted, and how it is said to be coded."""

    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A class of requests: its share of all, and the headers that say so."""

    name: str
    weight: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A rendered request, and the index of its class."""

    wire: bytes
    kind: int


@dataclass(frozen=True)
class Traffic:
    """What to ask, again and again in this order, and the names of the classes in it."""

    address: Address
    cycle: Sequence[Request]
    classes: Sequence[str]


PLAIN = (Kind("all"),)


def traffic(
    url: str,
    bodies: Sequence[Body],
    *,
    headers: Mapping[str, str] | None = None,
    kinds: Sequence[Kind] = PLAIN,
) -> Traffic:
    """Every body in turn; classes in their exact shares, in a shuffled order that never changes.

    headers: of every request, as a key. Raises BadUrl.
    """
    address = Address(url)
    own = {"Host": f"{address.host}:{address.port}", **(headers or {})}
    total = sum(kind.weight for kind in kinds)
    if len(kinds) == 1:
        order = [0] * len(bodies)
    else:
        ends = [sum(k.weight for k in kinds[: i + 1]) / total * _CYCLE for i in range(len(kinds))]
        order = [next(k for k, end in enumerate(ends) if at < end) for at in range(_CYCLE)]
        random.Random(_SEED).shuffle(order)
    rendered: dict[tuple[int, int], Request] = {}
    cycle = []
    for at, kind in enumerate(order):
        key = (at % len(bodies), kind)
        if key not in rendered:
            body = bodies[key[0]]
            named = {**own, **body.headers, **kinds[kind].headers}
            rendered[key] = Request(_post(address.path, named, body.data), kind)
        cycle.append(rendered[key])
    return Traffic(address, cycle, [kind.name for kind in kinds])


def _post(path: str, headers: Mapping[str, str], data: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data
