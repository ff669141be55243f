"""An ended session is over in every process that shares the record, and for every thread."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.ended_sessions import EndedSessions, new_record
from serving.security import Sessions
from tests.serving.test_security import USER

WRITE = """
import sys
from serving.ended_sessions import EndedSessions
record = EndedSessions(int(sys.argv[1]))
for number in range(200):
    record.add(f"{sys.argv[2]}{number:063d}")
"""


def test_two_processes_end_sessions_at_once_and_a_third_knows_them_all() -> None:
    record = new_record()
    here = EndedSessions(record)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(record), mark], pass_fds=[record])
        for mark in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with ThreadPoolExecutor(4) as threads:
        known = threads.map(here.__contains__, [f"{m}{n:063d}" for m in "ab" for n in range(200)])
    assert all(known)
    assert f"c{0:063d}" not in here


def test_a_session_that_was_ended_at_one_of_two_is_refused_by_the_other() -> None:
    record = new_record()
    first = Sessions(b"key", 1, ended=EndedSessions(record))
    second = Sessions(b"key", 1, ended=EndedSessions(os.dup(record)))
    ended, other = first.issue(USER), first.issue(USER)
    assert second.user_id(ended) == second.user_id(other) == "usr_1"
    second.end(ended)
    assert first.user_id(ended) is None
    assert first.user_id(other) == "usr_1"


def test_only_a_signature_is_recorded() -> None:
    with pytest.raises(ValueError, match="not a signature"):
        EndedSessions(new_record()).add("short")
