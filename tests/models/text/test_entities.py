"""Entity spans: tags to spans, the best legal path, windows of long texts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.tasks.clinical_text import windows
from models.text.entities import BEGIN, END, INSIDE, SINGLE, TAGS, best_tags, runs, tags_of


def test_spans_become_tags_and_tags_become_spans_again() -> None:
    spans = [(0, 0), (2, 4), (5, 6), (9, 9)]
    tags = tags_of(spans, 10)
    assert tags[[0, 2, 3, 4]].tolist() == [SINGLE, BEGIN, INSIDE, END]
    assert list(runs(tags)) == spans


def test_a_clear_path_is_found() -> None:
    truth = np.stack([tags_of([(1, 3)], 6), tags_of([(0, 0), (4, 5)], 6)])
    scores = np.eye(TAGS, dtype=np.float32)[truth] * 5
    assert (best_tags(scores) == truth).all()


def test_an_illegal_best_guess_gives_way_to_the_best_legal_one() -> None:
    scores = np.zeros((1, 3, TAGS), dtype=np.float32)
    scores[0, 0, INSIDE] = 9  # nothing is inside before it began
    scores[0, 1, BEGIN] = 2
    scores[0, 2, END] = 2
    assert list(runs(best_tags(scores)[0])) == [(1, 2)]


@given(arrays(np.float32, (2, 7, TAGS), elements=st.floats(-5, 5, width=32)))
def test_every_path_is_legal(scores: np.ndarray) -> None:
    for tags in best_tags(scores):
        rebuilt = tags_of(list(runs(tags)), len(tags))
        assert (rebuilt == tags).all()


def test_no_piece_no_tag() -> None:
    assert best_tags(np.zeros((3, 0, TAGS), dtype=np.float32)).shape == (3, 0)


@given(st.text(alphabet="头痛，。 a\n", max_size=120), st.integers(1, 30))
def test_windows_cover_the_text_and_fit(text: str, longest: int) -> None:
    parts = list(windows(text, longest))
    assert "".join(part for _, part in parts) == text
    assert all(0 < len(part) <= longest for _, part in parts)
    assert all(text[begin : begin + len(part)] == part for begin, part in parts)


def test_a_window_ends_with_a_sentence_where_it_can() -> None:
    assert [part for _, part in windows("发热三天。咳嗽一周。", 7)] == ["发热三天。", "咳嗽一周。"]
