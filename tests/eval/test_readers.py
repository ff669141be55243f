"""Benchmark files: what is read, and how a broken file is told, without any of its content."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eval.readers import read_images, read_lines
from eval.result import BenchmarkError
from tests.eval.files import write_lines, write_zip

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_lines_are_read_plain_and_gzipped(tmp_path: Path, name: str) -> None:
    lines = read_lines(write_lines(tmp_path / name, [{"text": " 头痛 "}, {"id": 7, "text": "b"}]))
    assert [line.text("text") for line in lines] == ["头痛", "b"]
    assert [line.id for line in lines] == ["line 1", "7"]


def test_the_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "renamed.jsonl"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"text": "a"}\n\n'))
    assert read_lines(path)[0].text("text") == "a"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"text": "a"}\n{"text": "secret', "line 2: not JSON"),
        (b"\n[1, 2]\n", "line 2: not a JSON object"),
        (b'{"text": "\xff"}', "line 1: not UTF-8"),
        (b"\n \n", "is empty"),
        (b"", "is empty"),
        (gzip.compress(b'{"text": "a"}' * 50)[:-9], "damaged or cut off"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=words) as caught:
        read_lines(path)
    assert "broken.jsonl" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_file_and_a_missing_field_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no file .*absent"):
        read_lines(tmp_path / "absent.jsonl")
    line = read_lines(write_lines(tmp_path / "a.jsonl", [{"text": 3}]))[0]
    with pytest.raises(BenchmarkError, match=r"a\.jsonl, line 1: 'text' must be text"):
        line.text("text")
    assert line.text("title", optional=True) == ""


def test_a_zip_gives_columns_and_pixels(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", "label,patient", {"x.png": (GREY, "normal,p1")})
    images = read_images(path)
    assert images.names == ("x.png",)
    assert images.columns == {"label": ("normal",), "patient": ("p1",)}
    assert np.allclose(next(images.images()).pixels * 255, GREY)


def test_a_zip_that_lacks_an_image_or_has_a_bad_one_says_which(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", "file,label\nbad.png,normal\ngone.png,normal\n")
        archive.writestr("images/bad.png", b"no picture")
    with pytest.raises(BenchmarkError, match=r"bad\.png"):
        list(read_images(path).images())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", "file,label\ngone.png,normal\n")
    with pytest.raises(BenchmarkError, match=r"names gone\.png"):
        list(read_images(path).images())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,label\nx,y\n", "no column 'file'"),
        ("file,label\n", "labels.csv is empty"),
        ("file,label\nx.png,normal,more\n", "line 2: 3 fields, not 2"),
    ],
)
def test_a_bad_label_table_is_told(tmp_path: Path, table: str, words: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", table)
    with pytest.raises(BenchmarkError, match=words):
        read_images(path)


def test_neither_zip_nor_npz_is_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{}])
    with pytest.raises(BenchmarkError, match="neither a zip"):
        read_images(path)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BenchmarkError, match="holds no labels"):
        read_images(tmp_path / "b.zip")


def test_an_npz_gives_its_test_part_else_val(tmp_path: Path) -> None:
    colour = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    colour[1, ..., 0] = 255
    labels = np.array([[0], [3]])
    np.savez(tmp_path / "a.npz", val_images=colour, val_labels=labels)
    images = read_images(tmp_path / "a.npz")
    assert images.columns == {"label": ("0", "3")}
    luminance = [float(i.pixels.mean()) for i in images.images()]
    assert luminance == pytest.approx([0.0, 0.298], abs=1e-3)
    np.savez(
        tmp_path / "b.npz",
        val_images=colour,
        val_labels=labels,
        test_images=colour[:1],
        test_labels=np.array([[2]]),
    )
    assert read_images(tmp_path / "b.npz").columns == {"label": ("2",)}
