"""Input files on disk: whole or not at all, held by one process, gone when no longer needed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.batches.inputs import InputHeld, InputLost, Inputs
from serving.errors import InvalidInput, PayloadTooLarge

CHUNK = b"x" * 65_536
SHA256 = hashlib.sha256(CHUNK).hexdigest()


async def chunks(count: int, *, then: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK
    if then is not None:
        raise then


def keep(inputs: Inputs, batch: str = "bat_1") -> None:
    async def receive() -> None:
        async with inputs.receive(chunks(1), 1_000_000) as spooled:
            assert (spooled.sha256, spooled.size) == (SHA256, len(CHUNK))
            inputs.keep(spooled, batch)

    asyncio.run(receive())


def test_what_arrives_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "batches")
    keep(inputs)
    with inputs.open("bat_1", SHA256) as file:
        assert file.read() == CHUNK
    assert (tmp_path / "batches").stat().st_mode & 0o077 == 0
    assert (tmp_path / "batches" / "bat_1").stat().st_mode & 0o077 == 0
    inputs.delete("bat_1")
    inputs.delete("bat_1")
    with pytest.raises(InputLost), inputs.open("bat_1", SHA256):
        pass


@pytest.mark.parametrize("broken", [None, InvalidInput("the upload broke off")])
def test_an_upload_that_is_too_large_or_breaks_off_leaves_nothing(
    tmp_path: Path, broken: Exception | None
) -> None:
    async def receive() -> None:
        limit = 10**9 if broken else 5 * len(CHUNK)
        async with Inputs(tmp_path).receive(chunks(40, then=broken), limit):
            pass

    with pytest.raises(InvalidInput if broken else PayloadTooLarge):
        asyncio.run(receive())
    assert list(tmp_path.iterdir()) == []


def test_a_large_upload_is_never_held_in_memory(tmp_path: Path) -> None:
    async def receive() -> None:
        async with Inputs(tmp_path).receive(chunks(1_000), 10**9) as spooled:
            assert spooled.size == 1_000 * len(CHUNK)

    tracemalloc.start()
    try:
        asyncio.run(receive())
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_what_was_accepted_is_lost(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path)
    keep(inputs)
    (tmp_path / "bat_1").write_bytes(b"other")
    with pytest.raises(InputLost), inputs.open("bat_1", SHA256):
        pass


def test_another_process_cannot_open_it_until_this_one_lets_go(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path)
    keep(inputs)
    other = [
        sys.executable, "-c",
        "import sys; from pathlib import Path; from serving.batches.inputs import *\n"
        "try:\n  Inputs(Path(sys.argv[1])).open('bat_1', sys.argv[2]).__enter__()\n"
        "except InputHeld: sys.exit(3)",
        str(tmp_path), SHA256,
    ]  # fmt: skip
    with inputs.open("bat_1", SHA256):
        with pytest.raises(InputHeld), inputs.open("bat_1", SHA256):
            pass
        assert subprocess.run(other, check=False).returncode == 3
    assert subprocess.run(other, check=False).returncode == 0


def test_only_old_files_that_nobody_wants_are_swept(tmp_path: Path) -> None:
    for name in ("bat_wanted", "bat_old", "bat_young"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("bat_wanted", "bat_old"):
        os.utime(tmp_path / name, (0, 0))
    assert Inputs(tmp_path).sweep(frozenset({"bat_wanted"})) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bat_wanted", "bat_young"]
    assert Inputs(tmp_path / "nowhere").sweep(frozenset()) == 0
