"""Structured logs on standard error. Nothing that a patient typed is ever an entry's value."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import orjson
import structlog


def configure(level: str) -> None:
    """One JSON object a line, or coloured lines on a terminal."""
    terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if terminal
        else structlog.processors.JSONRenderer(serializer=_bytes)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if terminal
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


def _bytes(entry: object, **options: Any) -> bytes:
    try:
        return orjson.dumps(entry, **options)
    except orjson.JSONEncodeError:  # a path with bytes that are no UTF-8
        return json.dumps(entry, **options).encode("ascii")
