"""Fetches one file over HTTP for the command line; a running server never does.

The address is the operator's own word, so it may be inside of his network. Where a server sends
him on is not: a redirect leads to public addresses only, and never from https to plain http.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import httpx

from models.errors import ModelRefused

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and, where the server said so, of all."""
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_REDIRECTS = 5


def is_address(source: str) -> bool:
    """Whether `source` is an address and no path."""
    return source.lower().startswith(("http://", "https://"))


def download(
    address: str, folder: Path, *, max_bytes: int, checked: bool, progress: Progress
) -> Path:
    """The file at an http(s) address, in the new folder `folder`.

    `checked`: its sha256 is known and gets compared, without which nothing comes over plain http.
    Raises ModelRefused, which never names the address's query: it may hold a key.
    """
    url = _parsed(address)
    if url.scheme == "http" and not checked:
        raise ModelRefused(
            "what comes over http can be altered on its way: give an https address, or --sha256"
        )
    name = PurePosixPath(url.path).name
    if not name or name in (".", "..") or "\0" in name:
        raise ModelRefused("the address names no file")
    folder.mkdir()
    path = folder / name[-200:]
    try:
        # As it lies on the server: what unpacks on the way could unpack to any size.
        with httpx.Client(timeout=_TIMEOUT_S, headers={"Accept-Encoding": "identity"}) as client:
            _fetch(client, url, path, max_bytes, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelRefused(f"{path.name} cannot be fetched from {url.host}") from error
    return path


def _parsed(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise ModelRefused("this is no address") from None
    if not url.host:
        raise ModelRefused("the address names no host")
    return url


def _fetch(
    client: httpx.Client, url: httpx.URL, path: Path, max_bytes: int, progress: Progress
) -> None:
    asked = url
    for _ in range(_REDIRECTS + 1):
        with client.stream("GET", url) as answer:
            if answer.next_request is None:
                _keep(answer, path, max_bytes, progress)
                return
            url = _next(asked, answer.next_request.url)
    raise ModelRefused(f"{asked.host} sends on and on")


def _next(asked: httpx.URL, url: httpx.URL) -> httpx.URL:
    """Where a redirect leads; refused where the operator would not have gone."""
    if url.scheme not in ("http", "https") or (asked.scheme, url.scheme) == ("https", "http"):
        raise ModelRefused(f"{asked.host} sends on to another protocol")
    if url.host != asked.host and not _is_public(url.host):
        raise ModelRefused(f"{asked.host} sends on to an address that is not public")
    return url


def _is_public(host: str) -> bool:
    """Whether every address of a host is one of the public internet; False where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return all(
        (getattr(address, "ipv4_mapped", None) or address).is_global for address in addresses
    )


def _keep(answer: httpx.Response, path: Path, max_bytes: int, progress: Progress) -> None:
    host = answer.url.host
    if not answer.is_success:
        raise ModelRefused(f"{host} answers {answer.status_code} for {path.name}")
    announced = answer.headers.get("Content-Length", "")
    total = int(announced) if announced.isdecimal() else None
    if total is not None and total > max_bytes:
        raise ModelRefused(f"{path.name}: larger than {max_bytes:,} bytes")
    done = 0
    with path.open("xb") as out:
        for block in answer.iter_raw(_BLOCK):
            done += len(block)
            if done > max_bytes:
                raise ModelRefused(f"{path.name}: larger than {max_bytes:,} bytes")
            out.write(block)
            progress(done, total)
