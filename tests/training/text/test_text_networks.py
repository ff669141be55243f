"""What both text models share: the quantised bag, its export, the linear fit, the readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from knowledge_base.lexicon.departments import taxonomy  # noqa: E402
from models.backends.onnx import OnnxBackend  # noqa: E402
from models.calibration import softmax  # noqa: E402
from models.text.ngrams import NgramFeaturiser  # noqa: E402
from training.export import export_onnx, pad, parity  # noqa: E402
from training.text.bag import HashedBag  # noqa: E402
from training.text.calibrate import HeldOut, fit_calibrator  # noqa: E402
from training.text.department_data import (  # noqa: E402
    Example,
    complaints,
    held_out_complaints,
    seeds,
)
from training.text.linear import cross_fit, fit, fit_adapted, row_weights  # noqa: E402
from training.text.retrieval import ranks, recall  # noqa: E402
from training.text.sparse import count_matrix, inverse_document_frequency, tf_idf  # noqa: E402
from training.text.stored import quantise  # noqa: E402

pytestmark = pytest.mark.torch

FEATURES = NgramFeaturiser(buckets=4096)
TEXTS = ["头痛三天", "咳嗽有黄痰，发烧", "月经不来", "chest pain when walking", "。", "腰疼" * 90]


def _net() -> HashedBag:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4096, 64)).astype(np.float32)
    return HashedBag(table, rng.uniform(1, 5, 4096).astype(np.float32))


def test_quantised_rows_differ_by_at_most_half_a_step() -> None:
    table = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    table[3] = 0
    small = quantise(table)
    back = small.values.astype(np.float32) * small.scale.astype(np.float32)[:, None]
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(back - table) <= 0.6 * step + 1e-9).all()
    assert not back[3].any()


def test_the_exported_file_computes_what_the_network_does_in_any_batch(tmp_path: Path) -> None:
    net = _net()
    example = {"ids": torch.zeros(2, 3, dtype=torch.int64), "weights": torch.zeros(2, 3)}
    export_onnx(net, example, {"out": (0,)}, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    backend = OnnxBackend(tmp_path / "model.onnx")
    rows = [FEATURES.tensors(text) for text in TEXTS]
    found = parity(net, backend, rows, "out")
    assert found["torch_onnx_max_abs"] < 1e-5
    assert found["batch_invariance_max_abs"] < 1e-5
    norms = np.linalg.norm(backend.run(pad(rows))["out"], axis=1)
    np.testing.assert_allclose(norms, [0 if text == "。" else 1 for text in TEXTS], atol=1e-5)


def _examples() -> list[Example]:
    heads, skins = ["头痛", "头晕", "偏头痛", "头昏"], ["皮疹", "瘙痒", "皮炎", "荨麻疹"]
    said = ["{}怎么办", "最近{}", "{}三天了"]
    return [
        Example(phrase.format(word), (), code, source, phrase.format(word))
        for code, words in (("neurology", heads), ("dermatology", skins))
        for word in words
        for phrase, source in zip(said, ("a", "a", "b"), strict=True)
    ]


def test_the_network_scores_texts_as_the_fitted_model_does() -> None:
    examples = _examples()
    counts = count_matrix(examples, FEATURES)
    idf = inverse_document_frequency(counts)
    rows, labels = tf_idf(counts, idf), np.array([int(e.code == "dermatology") for e in examples])
    weights = np.ones(len(labels), dtype=np.float32)
    base = fit(rows, labels, weights, 3, 1.0, 0)
    scores = cross_fit(rows, labels, weights, [e.group for e in examples], 3, 1.0, 0)
    adapted = fit_adapted(rows, scores, labels, weights, 1.0, 0)
    merged = adapted.merged(base)
    np.testing.assert_allclose(
        merged.scores(rows), adapted.scores(rows, base.scores(rows)), atol=1e-4
    )
    assert (merged.scores(rows).argmax(axis=1) == labels).all()


def test_calibration_finds_the_prior_of_held_out_rows() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random(600) < 0.1).astype(np.int64)
    noise = rng.normal(0, 0.3, (600, 2))
    scores = (noise + 0.2 * np.eye(2)[truth]).astype(np.float32)
    held = HeldOut(scores, truth, np.eye(2), 1.0)
    fitted = fit_calibrator([held], knee=9.0, slope=1.0, penalty=1e-4)
    probabilities = softmax(fitted.logits(scores), fitted.temperature)
    assert probabilities[:, 1].mean() == pytest.approx(truth.mean(), abs=0.02)
    assert softmax(scores, fitted.temperature)[:, 1].mean() > 0.3


def test_cross_fitted_scores_know_nothing_of_a_words_own_group() -> None:
    rng = np.random.default_rng(7)
    examples = [Example(f"词{chr(0x4E00 + i)}", (), "", "a", str(i)) for i in range(60)]
    rows = tf_idf(count_matrix(examples, FEATURES), np.ones(4096, dtype=np.float32))
    labels = rng.integers(0, 2, 60)
    weights = np.ones(60, dtype=np.float32)
    groups = [e.group for e in examples]
    seen = fit(rows, labels, weights, 2, 10.0, 0).scores(rows).argmax(axis=1)
    unseen = cross_fit(rows, labels, weights, groups, 2, 10.0, 0).argmax(axis=1)
    assert (seen == labels).mean() > 0.95
    assert (unseen == labels).mean() < 0.75


def test_a_source_has_its_share_however_many_rows_it_brings() -> None:
    labels = np.array([0, 0, 0, 1, 0])
    sources = np.array(["a", "a", "a", "a", "b"])
    weights = row_weights(labels, sources, {"a": 0.75, "b": 0.25}, class_balance=1.0)
    np.testing.assert_allclose(weights, [0.125, 0.125, 0.125, 0.375, 0.25], rtol=1e-5)


def test_own_phrases_are_held_out_by_text() -> None:
    learned, held = seeds(held_out=False), seeds(held_out=True)
    assert {e.code for e in held} == {e.code for e in learned}
    assert not {e.text for e in held} & {e.text for e in learned}


def test_rank_counts_ties_against_us() -> None:
    candidates = np.eye(3, dtype=np.float32)
    found = ranks(np.array([[1, 0, 0], [1, 1, 0]], dtype=np.float32), candidates, np.array([0, 1]))
    assert found.tolist() == [0, 1]
    assert recall(found, 1).value == 0.5


def test_the_guides_names_are_held_out_and_its_findings_teach_as_concepts() -> None:
    learned, held = complaints(0), held_out_complaints()
    assert not {example.text for example, _ in held} & {example.text for example in learned}
    assert any(e.concepts == ("胸痛",) and e.code == "cardiology" and not e.text for e in learned)
    assert {e.source for e, _ in held} == {"zh", "en"}
    assert {code for _, codes in held for code in codes} <= taxonomy().departments.keys()
