"""Entity spans: tags to spans, probabilities of spans, windows of long texts."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.tasks.entities import windows
from models.text.entities import (
    BEGIN,
    END,
    INSIDE,
    SINGLE,
    TAGS,
    likely_spans,
    span_probabilities,
    tags_of,
)


def spans_of(tags: np.ndarray) -> list[tuple[int, int]]:
    """Spans (first, last inclusive) of one row of tags."""
    found, first = [], 0
    for place, tag in enumerate(tags):
        first = place if tag in (BEGIN, SINGLE) else first
        if tag in (END, SINGLE):
            found.append((first, place))
    return found


def test_spans_become_tags_and_tags_become_spans_again() -> None:
    spans = [(0, 0), (2, 4), (5, 6), (9, 9)]
    tags = tags_of(spans, 10)
    assert tags[[0, 2, 3, 4]].tolist() == [SINGLE, BEGIN, INSIDE, END]
    assert spans_of(tags) == spans


def spans_by_counting(scores: np.ndarray) -> dict[tuple[int, int], float]:
    """Probability of every span of one type, by trying all legal tags."""
    weights: Counter[tuple[int, int]] = Counter()
    total = 0.0
    for path in itertools.product(range(TAGS), repeat=len(scores)):
        tags = np.array(path)
        spans = spans_of(tags)
        if (tags_of(spans, len(tags)) == tags).all():
            weight = float(np.exp(scores[np.arange(len(tags)), tags].sum()))
            total += weight
            for span in spans:
                weights[span] += weight
    return {span: weight / total for span, weight in weights.items()}


@settings(max_examples=10, deadline=None)
@given(arrays(np.float32, (2, 4, TAGS), elements=st.floats(-4, 4, width=32)))
def test_probabilities_of_spans_are_those_of_counting_every_path(scores: np.ndarray) -> None:
    found = span_probabilities(scores, 9)
    assert found.shape == (2, 4, 4)
    for kind in range(2):
        for (first, last), probability in spans_by_counting(scores[kind]).items():
            assert abs(found[kind, first, last - first] - probability) < 1e-6


def test_wide_spans_are_left_out_where_a_width_is_given() -> None:
    scores = np.eye(TAGS, dtype=np.float32)[tags_of([(0, 4)], 6)][None] * 6
    assert [(s.first, s.last) for s in likely_spans(scores, [0.4], 5)] == [(0, 4)]
    assert span_probabilities(scores, 4).shape == (1, 6, 4)
    assert not list(likely_spans(scores, [0.4], 4))


def test_a_span_is_named_from_its_types_threshold_on_and_never_twice() -> None:
    scores = np.zeros((2, 3, TAGS), dtype=np.float32)
    scores[:, 0, BEGIN] = scores[:, 1, END] = scores[:, 2, END] = 3.0
    scores[:, 1, INSIDE] = 3.5
    both = [(s.kind, s.first, s.last) for s in likely_spans(scores, [0.1, 0.99], 9)]
    assert both == [(0, 0, 2)]  # 0..1 is likely too, but overlaps the likelier one
    lower = {(s.kind, s.first, s.last) for s in likely_spans(scores, [0.1, 0.1], 9)}
    assert lower == {(0, 0, 2), (1, 0, 2)}  # types may lie over each other


def test_very_sure_scores_of_a_long_text_stay_finite() -> None:
    scores = np.random.default_rng(0).normal(0, 60, (9, 400, TAGS)).astype(np.float32)
    found = span_probabilities(scores, 40)
    assert np.isfinite(found).all()
    assert found.max() <= 1 + 1e-9


def test_an_empty_text_has_no_span() -> None:
    assert not list(likely_spans(np.zeros((3, 0, TAGS), dtype=np.float32), [0.3] * 3, 9))


@given(st.text(alphabet="头痛，。 a\n", max_size=120), st.integers(1, 30))
def test_windows_cover_the_text_and_fit(text: str, longest: int) -> None:
    parts = list(windows(text, longest))
    assert "".join(part for _, part in parts) == text
    assert all(0 < len(part) <= longest for _, part in parts)
    assert all(text[begin : begin + len(part)] == part for begin, part in parts)


def test_a_window_ends_with_a_sentence_where_it_can() -> None:
    assert [part for _, part in windows("发热三天。咳嗽一周。", 7)] == ["发热三天。", "咳嗽一周。"]
