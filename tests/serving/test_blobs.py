"""A blob is its content: kept once, whole, unchanged, and reachable by nothing but its sha256."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from serving.blobs import BlobStore
from serving.clock import FixedClock
from serving.errors import InternalError, InvalidInput, NotFound
from serving.storage.database import Database

pytest_plugins = ["tests.serving.storage.databases"]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def store(db: Database, tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", db)


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_what_is_put_comes_back(store: BlobStore, clock: FixedClock) -> None:
    info = store.put(PNG, "image/png")
    assert info.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (info.media_type, info.size, info.created_at) == ("image/png", len(PNG), clock.now())
    assert store.get(info.sha256) == PNG
    assert store.info(info.sha256) == info
    assert store.exists(info.sha256)


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    assert store.get(store.put(b"", "text/plain").sha256) == b""


def test_the_same_bytes_are_kept_once(store: BlobStore, tmp_path: Path, clock: FixedClock) -> None:
    first = store.put(PNG, "image/png")
    clock.advance(60)
    assert store.put(PNG, "application/octet-stream") == first
    assert len(files(tmp_path)) == 1


def test_a_blob_lies_two_levels_deep_and_only_its_owner_reads_it(
    store: BlobStore, tmp_path: Path
) -> None:
    digest = store.put(PNG, "image/png").sha256
    path = tmp_path / "blobs" / digest[:2] / digest[2:4] / digest
    assert files(tmp_path) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "",
        "a" * 63,
        "a" * 65,
        "A" * 64,
        "/" + "a" * 63,
        "a" * 64 + "\n",
        "\x00" * 64,
    ],
)
def test_a_name_that_is_no_sha256_reaches_no_file(store: BlobStore, name: str) -> None:
    assert not store.exists(name)
    with pytest.raises(NotFound):
        store.get(name)
    with pytest.raises(NotFound):
        store.info(name)


def test_an_unknown_blob_is_not_found(store: BlobStore) -> None:
    assert not store.exists("0" * 64)
    with pytest.raises(NotFound):
        store.get("0" * 64)
    with pytest.raises(NotFound):
        store.info("0" * 64)


def test_an_altered_file_is_not_served_and_heals_when_put_again(
    store: BlobStore, tmp_path: Path
) -> None:
    digest = store.put(PNG, "image/png").sha256
    files(tmp_path)[0].write_bytes(b"something else")
    with pytest.raises(InternalError):
        store.get(digest)
    store.put(PNG, "image/png")
    assert store.get(digest) == PNG


def test_a_crash_before_the_rename_leaves_no_blob_and_no_litter(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="full"):
        store.put(PNG, "image/png")
    monkeypatch.undo()
    assert files(tmp_path) == []
    assert not store.exists(hashlib.sha256(PNG).hexdigest())
    with pytest.raises(NotFound):
        store.info(hashlib.sha256(PNG).hexdigest())


def test_threads_may_put_the_same_bytes_at_once(store: BlobStore, tmp_path: Path) -> None:
    start = threading.Barrier(8)
    infos = []

    def put() -> None:
        start.wait()
        infos.append(store.put(PNG, "image/png"))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(infos) == 8
    assert len(set(infos)) == 1
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize(
    "media_type", ["", "png", "image/png; charset=x", "image/<script>", "头/痛"]
)
def test_a_malformed_media_type_is_refused(store: BlobStore, media_type: str) -> None:
    with pytest.raises(InvalidInput):
        store.put(PNG, media_type)
