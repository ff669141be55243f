"""Sessions that were ended before their time, known to every process of a server at once.

One unnamed file that all of them hold open: ending a session appends its signature, and whoever
checks one reads what was appended since he last looked. It is gone with the last process.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading

_LENGTH = 64


def new_record() -> int:
    """A file for one server's ended sessions: a descriptor that its processes may inherit."""
    with tempfile.TemporaryFile() as file:
        record = os.dup(file.fileno())
    # Holds for every copy of the descriptor: two processes never write over each other.
    fcntl.fcntl(record, fcntl.F_SETFL, fcntl.fcntl(record, fcntl.F_GETFL) | os.O_APPEND)
    return record


class EndedSessions:
    """Signatures (64 hexadecimal digits) that no longer count. Thread-safe.

    None is forgotten: a session that was ended takes up 64 bytes until the server's next start.
    """

    def __init__(self, record: int) -> None:
        """`record`: a descriptor made by `new_record`; this object's to close."""
        self._record = record
        self._read = 0
        self._known: set[bytes] = set()
        self._reading = threading.Lock()

    def __del__(self) -> None:
        os.close(self._record)

    def __contains__(self, signature: str) -> bool:
        with self._reading:
            self._catch_up()
            return signature.encode() in self._known

    def add(self, signature: str) -> None:
        """End a session, in every process."""
        if len(ended := signature.encode()) != _LENGTH:
            raise ValueError("not a signature")
        # One short write at the end of a file happens whole or not at all.
        os.write(self._record, ended)

    def _catch_up(self) -> None:
        while len(new := os.pread(self._record, _LENGTH, self._read)) == _LENGTH:
            self._read += _LENGTH
            self._known.add(new)
