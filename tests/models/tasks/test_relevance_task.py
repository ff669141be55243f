"""The shipped relevance model through its task."""

from __future__ import annotations

import numpy as np
import pytest

from models.backends.onnx import OnnxBackend
from models.batching import join
from models.errors import ModelError
from models.repository import ModelEntry, ModelRepository
from models.tasks.base import run_alone
from models.tasks.relevance import KINDS, Kind, RelevanceRequest, RelevanceTask

ASKED = "糖尿病能吃西瓜吗"


@pytest.fixture(scope="module")
def entry() -> ModelEntry:
    return ModelRepository(allow_noncommercial=True).get("relevance")


def test_it_loads_only_where_noncommercial_weights_are_allowed(entry: ModelEntry) -> None:
    assert entry.manifest.noncommercial
    with pytest.raises(ModelError, match="relevance"):
        ModelRepository().get("relevance")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_question_matches_and_another_does_not(entry: ModelEntry, kind: Kind) -> None:
    task, backend = RelevanceTask(entry.manifest, entry.folder), OnnxBackend(entry.network)
    best = task.labels(kind)[-1]
    same, other = (
        run_alone(task, backend, RelevanceRequest(kind, ASKED, text))
        for text in ("糖尿病可以吃西瓜吗", "高血压是怎么引起的")
    )
    assert tuple(same) == task.labels(kind)
    assert sum(same.values()) == pytest.approx(1)
    assert same[best] > 0.5 > other[best]


def test_a_narrower_query_is_not_the_same_one(entry: ModelEntry) -> None:
    task, backend = RelevanceTask(entry.manifest, entry.folder), OnnxBackend(entry.network)
    wide, narrow = "大肠埃希菌", "大肠埃希菌怎么治疗"
    found = run_alone(task, backend, RelevanceRequest("query_query", wide, narrow))
    turned = run_alone(task, backend, RelevanceRequest("query_query", narrow, wide))
    assert max(found, key=found.__getitem__) == "1"
    assert max(turned, key=turned.__getitem__) == "0"


def test_no_text_is_too_long_and_no_row_depends_on_its_batch(entry: ModelEntry) -> None:
    task, backend = RelevanceTask(entry.manifest, entry.folder), OnnxBackend(entry.network)
    texts = [(ASKED, "西瓜"), (ASKED * 90, "西瓜" * 90), ("", ""), ("。", "。")]
    rows = [task.prepare(RelevanceRequest("query_query", *pair)) for pair in texts]
    assert max(row["pieces"].shape[1] for row in rows) <= entry.manifest.preprocessing["longest"]
    together = backend.run(join(rows))["logits"]
    for number, row in enumerate(rows):
        assert np.abs(backend.run(row)["logits"][0] - together[number]).max() < 1e-5


def test_a_manifest_without_a_kind_is_refused(entry: ModelEntry) -> None:
    less = entry.manifest.model_copy(update={"heads": entry.manifest.heads[1:]})
    with pytest.raises(ValueError, match="no head query_title"):
        RelevanceTask(less, entry.folder)
