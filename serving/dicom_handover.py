"""Handing one DICOM file to the server over STOW-RS, until it is kept or clearly refused.

Needs the `dicom` extra. What it returns is a DIMSE status (PS3.7 Annex C, PS3.4 B.2.3): a modality
that gets anything but 0x0000 keeps the instance and sends it again.
"""

from __future__ import annotations

import secrets
import threading
import time
from enum import IntEnum

import httpx
import structlog

from serving.dicomweb.elements import DICOM_JSON
from serving.dicomweb.multipart import DICOM, encode

log = structlog.get_logger()

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_AGAIN = frozenset({429, 502, 503, 504})
_FAILURE_TAGS = ("00081198", "0008119A")


class Status(IntEnum):
    """What a modality is told."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NOT_AUTHORISED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    TOO_LARGE = 0xA701


class HandOver:
    """Gives instances to one server. Used by many threads at once."""

    def __init__(self, server: str, key: str, patience_s: float) -> None:
        """`server` is its address, `key` that of an imaging device.

        patience_s: how long an unreachable or busy server is tried before the modality is told.
        """
        self._url = server.rstrip("/") + "/dicom-web/studies"
        self._patience_s = patience_s
        self._stopping = threading.Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}", "Accept": DICOM_JSON}, timeout=_TIMEOUT
        )

    def close(self) -> None:
        """Give up what waits for another try."""
        self._stopping.set()
        self._client.close()

    def __call__(self, file: bytes) -> int:
        """The status of one Part 10 file: 0x0000 when the server has it."""
        deadline = time.monotonic() + self._patience_s
        wait_s = _FIRST_WAIT_S
        while True:
            status, asked_s = self._once(file)
            if status != Status.OUT_OF_RESOURCES:
                return status
            wait_s = min(max(wait_s, asked_s), _LONGEST_WAIT_S)
            if time.monotonic() + wait_s >= deadline or self._stopping.wait(wait_s):
                return status
            wait_s *= 2

    def _once(self, file: bytes) -> tuple[int, float]:
        """One try: the status, and after how many seconds the server wants to be asked again."""
        boundary = secrets.token_hex(16)
        kind = f'multipart/related; type="{DICOM}"; boundary={boundary}'
        body = b"".join(encode([(DICOM, file)], boundary))
        try:
            answer = self._client.post(self._url, content=body, headers={"Content-Type": kind})
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            log.warning("the server was not reached", error=type(error).__name__)
            return Status.OUT_OF_RESOURCES, 0.0
        if answer.status_code == 200:
            return Status.SUCCESS, 0.0
        log.warning("the server did not keep an instance", http=answer.status_code)
        return _refusal(answer), _seconds(answer.headers.get("retry-after", ""))


def _refusal(answer: httpx.Response) -> int:
    if answer.status_code in (401, 403):
        return Status.NOT_AUTHORISED
    if answer.status_code == 413:
        return Status.TOO_LARGE
    if answer.status_code in _AGAIN:
        return Status.OUT_OF_RESOURCES
    return _failure_reason(answer) or Status.PROCESSING_FAILURE


def _failure_reason(answer: httpx.Response) -> int | None:
    """The reason in a store response; STOW-RS and C-STORE share their codes."""
    try:
        said = answer.json()
        for tag in _FAILURE_TAGS:
            for item in said.get(tag, {}).get("Value", []):
                return int(item["00081197"]["Value"][0]) & 0xFFFF or None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return None


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0.0
