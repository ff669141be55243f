"""The featuriser: stable, blind to what normalisation folds, and cheap to batch."""

from __future__ import annotations

import time

import numpy as np

from models.text.ngrams import NgramFeaturiser

FEATURES = NgramFeaturiser()
PINNED = [23086, 38402, 44772, 49610, 59073, 70440, 84156, 86572, 93975, 100840, 104004, 109954]


def _ids(text: str, *concepts: str) -> set[int]:
    return set(FEATURES(text, concepts)[0].tolist())


def test_ids_never_change_because_shipped_weights_are_rows_under_them() -> None:
    ids, weights = FEATURES("头疼2天 CT")
    assert ids.tolist() == PINNED
    assert weights.tolist() == [1.0] * len(PINNED)


def test_shapes_types_and_range() -> None:
    tensors = FEATURES.tensors("咳嗽有痰，发烧三天")
    assert tensors["ids"].dtype == np.int64
    assert tensors["weights"].dtype == np.float32
    assert tensors["ids"].shape == tensors["weights"].shape
    assert tensors["ids"].shape[0] == 1
    assert tensors["ids"].min() >= 1
    assert tensors["ids"].max() < FEATURES.buckets


def test_full_width_upper_case_and_traditional_read_alike() -> None:
    assert _ids("頭痛，ＣＴ") == _ids("头痛,ct")


def test_punctuation_ends_a_run_but_a_space_does_not() -> None:
    assert _ids("头，痛") < _ids("头痛")
    assert _ids("chest pain") == _ids("chest  pain")
    assert _ids("chest. pain") < _ids("chest pain")


def test_word_order_matters_within_a_run() -> None:
    assert _ids("痛头") != _ids("头痛")


def test_an_inflected_word_shares_subwords_with_its_stem() -> None:
    assert len(_ids("vomiting") & _ids("vomited")) >= 5
    assert not _ids("vomiting") & _ids("rash")


def test_subwords_do_not_cross_words() -> None:
    assert _ids("rash") <= _ids("rash headache")
    assert _ids("rash headache") - _ids("rash") - _ids("headache") == (
        _ids("rash headache") - _ids("headache rash")
    )


def test_counts_weigh_logarithmically() -> None:
    ids, weights = FEATURES("痛。痛。痛")
    assert len(ids) == 1
    np.testing.assert_allclose(weights, [1 + np.log(3)], rtol=1e-6)


def test_a_concept_adds_its_name_and_a_feature_of_its_own() -> None:
    assert _ids("my head hurts", "头痛") > _ids("my head hurts") | _ids("头痛")


def test_a_text_without_units_is_one_padding_id_of_weight_zero() -> None:
    for text in ("", "  ", "？！。", "🙂"):
        ids, weights = FEATURES(text)
        assert ids.tolist() == [0]
        assert weights.tolist() == [0.0]


def test_what_lies_beyond_the_limit_is_not_read() -> None:
    short = NgramFeaturiser(max_characters=4)
    assert short("头痛发烧咳嗽")[0].tolist() == short("头痛发烧")[0].tolist()


def test_one_hundred_characters_take_less_than_half_a_millisecond() -> None:
    text = ("我父亲昨天晚上开始胸口疼，出冷汗，以前有高血压，吃了药没有好转，" * 4)[:100]
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        FEATURES(text)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.0005
