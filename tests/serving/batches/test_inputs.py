"""Input files on disk: whole or not at all, held by one process, gone when no longer needed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.batches.inputs import NAME_FILE, InputLost, Inputs
from serving.clock import Ids, SystemClock
from serving.errors import InvalidInput, PayloadTooLarge, StorageUnavailable

CHUNK = b"x" * 65_536
SHA256 = hashlib.sha256(CHUNK).hexdigest()
IDS = Ids(SystemClock())


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
    inputs = Inputs(tmp_path / "batches", IDS)
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
        async with Inputs(tmp_path, IDS).receive(chunks(40, then=broken), limit):
            pass

    with pytest.raises(InvalidInput if broken else PayloadTooLarge):
        asyncio.run(receive())
    assert [path.name for path in tmp_path.iterdir()] == [NAME_FILE]


def test_a_large_upload_is_never_held_in_memory(tmp_path: Path) -> None:
    async def receive() -> None:
        async with Inputs(tmp_path, IDS).receive(chunks(1_000), 10**9) as spooled:
            assert spooled.size == 1_000 * len(CHUNK)

    tracemalloc.start()
    try:
        asyncio.run(receive())
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_what_was_accepted_is_lost(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path, IDS)
    keep(inputs)
    (tmp_path / "bat_1").write_bytes(b"other")
    with pytest.raises(InputLost), inputs.open("bat_1", SHA256):
        pass


def test_all_who_share_a_folder_know_it_by_one_name_and_another_folder_by_another(
    tmp_path: Path,
) -> None:
    first, second = Inputs(tmp_path / "shared", IDS), Inputs(tmp_path / "shared", IDS)
    assert first.name == second.name != Inputs(tmp_path / "other", IDS).name
    assert (tmp_path / "shared" / NAME_FILE).stat().st_mode & 0o077 == 0


def test_servers_that_start_at_once_agree_on_the_name_of_their_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: Inputs(tmp_path / "shared", IDS).name, range(32)))
    assert len(names) == 1


def test_a_file_is_not_lost_while_its_folder_is_away(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "batches", IDS)
    keep(inputs)
    (tmp_path / "batches").rename(tmp_path / "elsewhere")
    (tmp_path / "batches").mkdir()  # where a volume would be mounted
    with pytest.raises(StorageUnavailable), inputs.open("bat_1", SHA256):
        pass
    (tmp_path / "batches").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "batches")
    with inputs.open("bat_1", SHA256) as file:
        assert file.read() == CHUNK


def test_only_old_files_that_nobody_wants_are_swept(tmp_path: Path) -> None:
    for name in ("bat_wanted", "bat_old", "bat_young"):
        (tmp_path / name).write_bytes(b"x")
    inputs = Inputs(tmp_path, IDS)
    for name in ("bat_wanted", "bat_old", NAME_FILE):
        os.utime(tmp_path / name, (0, 0))
    assert inputs.sweep(frozenset({"bat_wanted"})) == 1
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [NAME_FILE, "bat_wanted", "bat_young"]
