"""The rows of a file: always the same, in order, one at a time."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import pytest

from serving.batches.items import Form, Item, Reading, count, items
from serving.errors import FenzhenError, InvalidInput, PayloadTooLarge, UnsupportedMedia
from serving.imaging_records import Patient
from tests.serving.batches.test_archive import archive, unflagged

JSONL = Reading(Form.JSONL, images=False, row_bytes=100, rows=5, unpacked_bytes=1_000_000)
LINES = Reading(Form.ZIP, images=False, row_bytes=100, rows=5, unpacked_bytes=1_000_000)
IMAGES = Reading(Form.ZIP, images=True, row_bytes=100, rows=5, unpacked_bytes=1_000_000)


def read(data: bytes, reading: Reading, skip: frozenset[int] = frozenset()) -> list[Item]:
    return list(items(io.BytesIO(data), reading, skip=skip))


def test_lines_are_numbered_without_blank_ones_and_skipped_by_number() -> None:
    data = b'\xef\xbb\xbf{"a":1}\r\n\n   \n{"a":2}\n{"a":3}'
    assert count(io.BytesIO(data), JSONL) == 3
    assert [item.data for item in read(data, JSONL)] == [b'{"a":1}', b'{"a":2}', b'{"a":3}']
    assert [item.number for item in read(data, JSONL, frozenset({2}))] == [1, 3]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_the_longest_length_is_read_and_a_longer_one_is_not(end: bytes) -> None:
    at, over = b"x" * (100 - len(end)), b"y" * 1_001
    found = read(b"\n".join([over, b"z", at]) + end, JSONL)
    assert [item.data for item in found] == [b"", b"z", at]
    assert isinstance(found[0].fault, PayloadTooLarge)


def test_a_line_of_64_megabytes_is_never_held() -> None:
    data = io.BytesIO(b"x" * 64_000_000 + b"\n{}")
    tracemalloc.start()
    try:
        found = list(items(data, JSONL, skip=()))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [item.data for item in found] == [b"", b"{}"]


def test_images_have_the_patient_of_their_line_with_or_without_their_folder() -> None:
    table = (
        "file,age_years,sex,site,label\nb.png,4.5,Female,Lower extremity,1\n"
        "images/a.png,2,,,0\nc.png,,male,,0\n"
    )
    names = ("images/a.png", "images/b.png", "images/c.png", "images/d.png")
    data = archive({"labels.csv": table.encode(), **{name: name.encode() for name in names}})
    found = read(data, IMAGES)
    assert [(item.number, item.file, item.patient) for item in found] == [
        (1, "images/a.png", Patient(2)),
        (2, "images/b.png", Patient(4.5, "female", "lower extremity")),
        (3, "images/c.png", Patient(None, "male")),
        (4, "images/d.png", Patient()),
    ]
    assert [item.data for item in found] == [name.encode() for name in names]


@pytest.mark.parametrize("value", ["-1", "126", "nan", "inf", "three", "1e999"])
def test_an_impossible_age_is_its_own_images_problem_only(value: str) -> None:
    table = f"file,age_years\na.png,{value}\nb.png,3\n"
    found = read(archive({"a.png": b"", "b.png": b"", "patients.csv": table.encode()}), IMAGES)
    assert isinstance(found[0].fault, InvalidInput)
    assert found[1].patient.age_years == 3


@pytest.mark.parametrize(("column", "value"), [("sex", "unknown"), ("site", "somewhere")])
def test_an_unknown_word_is_its_own_images_problem_only(column: str, value: str) -> None:
    table = f"file,{column}\na.png,{value}\nb.png,\n"
    found = read(archive({"a.png": b"", "b.png": b"", "patients.csv": table.encode()}), IMAGES)
    assert isinstance(found[0].fault, InvalidInput)
    assert [error.pointer for error in found[0].fault.errors] == [f"/{column}"]
    assert found[1].fault is None


def test_an_archive_of_a_chinese_windows_matches_its_table() -> None:
    table = "file,age_years\n胸片.png,3\n".encode("gbk")
    found = read(unflagged({"images/胸片.png": b"x", "patients.csv": table}, "gbk"), IMAGES)
    assert [(item.file, item.patient.age_years) for item in found] == [("images/胸片.png", 3)]


@pytest.mark.parametrize(
    "table",
    [
        b"name,age\na.png,3\n",
        b"",
        b"file\nz.png\n",
        b"file\na.png\na.png\n",
        b"file\n\xff\xfe\n",
        b'file\n"a.png\n',
        b"file\n" + b"x" * 200_000 + b"\n",
    ],
)
def test_a_table_that_cannot_be_trusted_refuses_the_batch(table: bytes) -> None:
    with pytest.raises(InvalidInput):
        count(io.BytesIO(archive({"a.png": b"", "patients.csv": table})), IMAGES)


def test_two_tables_refuse_the_batch() -> None:
    both = {"a.png": b"", "patients.csv": b"file\n", "labels.csv": b"file\n"}
    with pytest.raises(InvalidInput):
        count(io.BytesIO(archive(both)), IMAGES)


def test_an_image_over_the_limit_is_its_own_problem() -> None:
    found = read(archive({"a.png": bytes(range(256)), "b.png": b"x"}), IMAGES)
    assert isinstance(found[0].fault, PayloadTooLarge)
    assert found[1].data == b"x"


def test_lines_of_a_zip_come_file_after_file() -> None:
    data = archive({"b.jsonl": b"{}\n{}\n", "a.ndjson": b"[]"})
    assert [(i.number, i.file) for i in read(data, LINES)] == [
        (1, "b.jsonl"), (2, "b.jsonl"), (3, "a.ndjson")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reading", "error"),
    [
        (b"", JSONL, InvalidInput),
        (b" \n\n", JSONL, InvalidInput),
        (b"{}\n" * 6, JSONL, PayloadTooLarge),
        (archive({"a.jsonl": b"{}"}), JSONL, UnsupportedMedia),
        (b"{}", Reading(Form.JSONL, True, 100, 5, 1_000), UnsupportedMedia),
        (archive({"a.jsonl": b"{}\n" * 6}), LINES, PayloadTooLarge),
        (archive({"a.txt": b"{}"}), LINES, InvalidInput),
        (archive({f"{n}.png": b"" for n in range(6)}), IMAGES, PayloadTooLarge),
        (archive({"images/labels.csv": b"file\n"}), IMAGES, InvalidInput),
    ],
)
def test_a_file_that_is_no_input_is_refused(
    data: bytes, reading: Reading, error: type[FenzhenError]
) -> None:
    with pytest.raises(error):
        count(io.BytesIO(data), reading)


def test_a_damaged_file_of_lines_refuses_the_batch() -> None:
    data = archive({"a.jsonl": b"{}\n" * 5}, zipfile.ZIP_STORED)
    with pytest.raises(InvalidInput):
        count(io.BytesIO(data.replace(b"{}\n{}", b"{}\n[]", 1)), LINES)
