"""Readers that misbehave, by the name of the file: what a child process is told to run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from knowledge_base.library.reading import Content, read_content


def read_hostile(path: Path, name: str, largest: int) -> Content:
    """Loops, fills the memory, dies or raises where the file's name says so; else reads."""
    if path.stem == "loops":
        while True:
            pass
    if path.stem == "grows":
        kept = []
        while True:
            kept.append(bytearray(2**24))
    if path.stem == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.stem == "leaves":
        os._exit(3)
    if path.stem == "stumbles":
        raise AssertionError(name)
    return read_content(path, name, largest)


def process_of(path: Path, name: str, _largest: int) -> Content:
    """The number of the process, as the id of a document that holds nothing."""
    return [(f"{os.getpid()}", read_content(path, name)[0][1], [])]
