"""The shipped department and embedding models, through their tasks, on real small texts."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge_base.lexicon.departments import taxonomy
from models.backends.onnx import OnnxBackend
from models.repository import ModelEntry, ModelRepository
from models.tasks.base import run_alone
from models.tasks.department import DepartmentRequest, DepartmentTask
from models.tasks.embedding import EmbeddingTask

MEGABYTES = 1_000_000


@pytest.fixture(scope="module")
def department() -> ModelEntry:
    return ModelRepository().get("department")


@pytest.fixture(scope="module")
def embedding() -> ModelEntry:
    return ModelRepository().get("embedding")


def _ranked(entry: ModelEntry, text: str, *concepts: str) -> list[str]:
    task = DepartmentTask(entry.manifest, entry.folder)
    found = run_alone(task, OnnxBackend(entry.network), DepartmentRequest(text, concepts))
    return [row.code for row in found]


def test_the_shipped_files_are_small_and_load_by_default(
    department: ModelEntry, embedding: ModelEntry
) -> None:
    for entry in (department, embedding):
        assert entry.network.stat().st_size < 12 * MEGABYTES
        assert not entry.manifest.noncommercial


def test_every_department_has_a_probability_and_they_sum_to_one(department: ModelEntry) -> None:
    task = DepartmentTask(department.manifest, department.folder)
    found = run_alone(task, OnnxBackend(department.network), DepartmentRequest("头疼"))
    assert {row.code for row in found} == set(taxonomy().departments)
    assert sum(row.probability for row in found) == pytest.approx(1)
    assert [row.probability for row in found] == sorted(
        (r.probability for r in found), reverse=True
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("乙肝小三阳转氨酶有点高", "hepatology"),
        ("膝盖疼，上下楼梯厉害", "orthopaedics"),
        ("牙龈肿了，后面的牙很疼", "stomatology"),
        ("怀孕三个月出血", "obstetrics"),
        ("脚上脱皮很痒", "dermatology"),
        ("眼睛看东西模糊", "ophthalmology"),
        ("my gums bleed and a tooth hurts", "stomatology"),
        ("itchy rash on both arms", "dermatology"),
    ],
)
def test_a_plain_complaint_finds_its_department_in_the_first_three(
    department: ModelEntry, text: str, code: str
) -> None:
    assert code in _ranked(department, text)[:3]


def test_concepts_help_where_the_words_do_not(department: ModelEntry) -> None:
    vague = "it has been like this since Monday"
    ranked, helped = _ranked(department, vague), _ranked(department, vague, "视力下降", "眼痛")
    assert helped[0] == "ophthalmology"
    assert helped.index("ophthalmology") <= ranked.index("ophthalmology")


def test_an_answer_does_not_depend_on_who_shares_the_batch(
    department: ModelEntry, embedding: ModelEntry
) -> None:
    texts = ["头疼", "咳嗽半个月了，晚上厉害，有黄痰" * 20, "chest pain", ""]
    for entry, output, task in (
        (department, "logits", DepartmentTask(department.manifest, department.folder)),
        (embedding, "embedding", None),
    ):
        backend = OnnxBackend(entry.network)
        rows = [
            task.prepare(DepartmentRequest(t)) if task else EmbeddingTask(entry.manifest).prepare(t)
            for t in texts
        ]
        longest = {name: max(row[name].shape[1] for row in rows) for name in rows[0]}
        batch = {
            name: np.concatenate(
                [np.pad(r[name], ((0, 0), (0, length - r[name].shape[1]))) for r in rows]
            )
            for name, length in longest.items()
        }
        together = backend.run(batch)[output]
        for i, row in enumerate(rows):
            assert np.abs(backend.run(row)[output][0] - together[i]).max() < 1e-5


def test_a_term_lies_nearer_to_its_translation_than_to_another(embedding: ModelEntry) -> None:
    task, backend = EmbeddingTask(embedding.manifest), OnnxBackend(embedding.network)
    fever, cough, english = (run_alone(task, backend, t) for t in ("发热", "咳嗽", "fever"))
    assert english.dtype == np.float32
    assert english @ fever > english @ cough + 0.2
