"""Zip archives from outside: refused for what their directory says, before anything is read."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile

import pytest

from serving.batches.archive import Archive, ArchiveLimits, EntryDamaged
from serving.errors import FenzhenError, InvalidInput, PayloadTooLarge, UnsupportedMedia

LIMITS = ArchiveLimits(entries=100, unpacked_bytes=10_000_000)


def archive(files: dict[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()


def opened(data: bytes, limits: ArchiveLimits = LIMITS) -> Archive:
    return Archive(io.BytesIO(data), limits)


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """The archive with bytes of its last record of a kind replaced."""
    at = data.rindex(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def test_files_are_read_in_the_order_of_the_archive_without_leftovers() -> None:
    data = archive({"b/": b"", "b/2.png": b"two", "a.png": b"one", "__MACOSX/a.png": b"junk"})
    found = opened(data)
    assert [entry.name for entry in found.entries] == ["b/2.png", "a.png"]
    assert found.read("b/2.png", 10) == b"two"
    with found.open("a.png") as stream:
        assert stream.readline() == b"one"


def unflagged(files: dict[str, bytes], encoding: str) -> bytes:
    """An archive whose names are in that encoding and whose directory does not say so."""
    names = [name.encode(encoding) for name in files]
    stand_ins = [f"{n:x}".rjust(len(name), "_") for n, name in enumerate(names)]
    data = archive(dict(zip(stand_ins, files.values(), strict=True)), zipfile.ZIP_STORED)
    for stand_in, name in zip(stand_ins, names, strict=True):
        data = data.replace(stand_in.encode(), name)
    return data


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("影像/胸片.png", "utf-8"),
        ("影像/胸片.png", "gbk"),
        ("𠮷.png", "gb18030"),
        ("été.png", "cp437"),
    ],
)
def test_names_are_read_as_their_system_writes_them(name: str, encoding: str) -> None:
    files = {name: b"one", "a": b"two"}
    found = opened(unflagged(files, encoding))
    assert {entry.name: found.read(entry.name, 10) for entry in found.entries} == files


@pytest.mark.parametrize("name", ["影像/../胸片.png", "影像:胸片.png", "影像\\胸片.png"])
def test_a_name_in_a_code_page_must_stay_inside_too(name: str) -> None:
    with pytest.raises(InvalidInput):
        opened(unflagged({name: b"x"}, "gbk"))


def test_a_byte_of_a_character_is_no_separator() -> None:
    # The second byte of 乗 in GBK is that of a backslash.
    assert opened(unflagged({"乗.png": b"x"}, "gbk")).entries[0].name == "乗.png"


def test_a_name_that_is_not_the_utf_8_it_says_is_refused() -> None:
    data = archive({"胸.png": b"x"})
    with pytest.raises(UnsupportedMedia):
        opened(data.replace("胸".encode(), b"\xff\xfe\xfd"))


def link() -> dict[str | zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return {info: b"/etc/passwd"}


ONE = archive({"a.png": b"x" * 10})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"PK\x05\x06" + b"\0" * 17, UnsupportedMedia),
        (ONE[:-1], UnsupportedMedia),
        (ONE + b"\0", UnsupportedMedia),
        (ONE[:-22] + b"PK\x06\x07" + b"\0" * 16 + ONE[-22:], UnsupportedMedia),
        (patched(ONE, b"PK\x05\x06", 12, b"\xff\xff\xff\xff"), PayloadTooLarge),
        (patched(ONE, b"PK\x05\x06", 16, b"\xff\xff\xff\x7f"), UnsupportedMedia),
        (patched(ONE, b"PK\x01\x02", 8, b"\x01"), InvalidInput),
        (patched(ONE, b"PK\x01\x02", 10, b"\x0e"), InvalidInput),
        (patched(ONE, b"PK\x01\x02", 46, b"a\0png"), InvalidInput),
        (archive(link()), InvalidInput),
        (archive({"a\\b.png": b"x"}), InvalidInput),
        (archive({"c:/b.png": b"x"}), InvalidInput),
        (archive({"a/../b.png": b"x"}), InvalidInput),
        (archive({"./b.png": b"x"}), InvalidInput),
        (archive({"a//b.png": b"x"}), InvalidInput),
        (archive({"\u202egnp.a": b"x"}), InvalidInput),
        (archive({"n" * 256: b"x"}), InvalidInput),
        (archive({"é.png": b"x", "e\u0301.png": b"y"}), InvalidInput),
        (archive({"a.png": b"\0" * 3_000_000}), PayloadTooLarge),
        (patched(ONE, b"PK\x01\x02", 24, struct.pack("<I", 10_000_001)), PayloadTooLarge),
        (archive({f"{n}.png": b"" for n in range(101)}), PayloadTooLarge),
    ],
)
def test_a_hostile_archive_is_refused(data: bytes, error: type[FenzhenError]) -> None:
    with pytest.raises(error) as refused:
        opened(data)
    assert type(refused.value) is error
    assert "png" not in refused.value.detail, "names may be patients'"


def test_a_directory_that_lies_about_sizes_gives_no_more_than_it_states() -> None:
    data = archive({"a.png": b"\0" * 900_000})
    lying = patched(data, b"PK\x01\x02", 24, struct.pack("<I", 10))
    with pytest.raises(EntryDamaged):
        opened(lying).read("a.png", 1_000)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_leaves_the_others_readable(method: int) -> None:
    data = archive({"a.png": bytes(range(256)) * 40, "b.png": b"fine"}, method)
    found = opened(data[:60] + b"\xff" * 20 + data[80:])
    with pytest.raises(EntryDamaged):
        found.read("a.png", 100_000)
    assert found.read("b.png", 100) == b"fine"


def test_an_entry_over_the_limit_is_not_read() -> None:
    found = opened(archive({"a.png": b"x" * 2_000}))
    with pytest.raises(PayloadTooLarge):
        found.read("a.png", 1_999)


def test_a_directory_of_a_hundred_thousand_names_costs_little_memory() -> None:
    data = archive({f"{n}": b"" for n in range(65_000)}, zipfile.ZIP_STORED)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            opened(data, ArchiveLimits(10_000, 10_000_000))
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()
