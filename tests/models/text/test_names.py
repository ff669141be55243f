"""Lists of names: what a piece is to the longest listed name over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.text.names import CODES, LONGEST_NAME, NameLists

LISTS = {"finding": ["头痛", "痛", "胸骨后疼痛"], "part": ["头", "胸骨", "Ｂ细胞"]}


@pytest.fixture
def names() -> NameLists:
    return NameLists.of(LISTS)


def codes(names: NameLists, text: str) -> np.ndarray:
    """One row of codes per list, one column per character."""
    packed = names.codes(text, [(place, place + 1) for place in range(len(text))])
    assert packed[0] == 0  # START
    return np.stack([packed[1:] // CODES**number % CODES for number in range(len(names.lists))])


def test_the_longest_name_of_each_list_counts(names: NameLists) -> None:
    finding, part = codes(names, "头痛")
    whole = codes(names, "痛")[0, 0]
    assert 0 < finding[0] != finding[1] > 0
    assert whole not in finding  # 痛 alone gives way to 头痛
    assert part.tolist() == [whole, 0]


def test_begin_inside_and_end_differ_and_so_do_lengths(names: NameLists) -> None:
    finding, part = codes(names, "有胸骨后疼痛")
    assert finding[0] == 0
    assert len(set(finding[1:].tolist())) == 3
    assert finding[2] == finding[3] == finding[4]
    assert set(part[1:3]).isdisjoint(finding[1:])


def test_names_are_met_however_they_are_written(names: NameLists) -> None:
    assert (codes(names, "b细胞") == codes(names, "Ｂ细胞")).all()
    assert codes(names, "b细胞")[1].all()
    assert (codes(names, "頭痛") == codes(names, "头痛")).all()


def test_every_code_fits_and_an_unknown_text_has_none(names: NameLists) -> None:
    long = NameLists.of({"a": ["长" * n for n in range(1, LONGEST_NAME + 3)]})
    found = codes(long, "长" * LONGEST_NAME)
    assert found.max() < CODES
    assert (found > 0).all()
    assert not codes(names, "今天天气好").any()
    assert codes(names, "").shape == (2, 0)


def test_the_file_is_the_same_for_the_same_lists_and_reads_back(
    names: NameLists, tmp_path: Path
) -> None:
    names.write(tmp_path / "a.npz")
    NameLists.of(LISTS).write(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = NameLists.read(tmp_path / "a.npz")
    assert again.lists == ("finding", "part")
    assert (codes(again, "胸骨后疼痛") == codes(names, "胸骨后疼痛")).all()
