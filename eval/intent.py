"""The intent benchmark: what does a question to a medical service ask for (KUAKE-QIC)?"""

from __future__ import annotations

from collections.abc import Sequence

from eval.labelled import scored_labels
from eval.progress import track
from eval.readers import Line
from eval.result import Scored
from knowledge_base.lexicon.intents import intents
from models.backends.onnx import OnnxBackend
from models.repository import ModelRepository
from models.tasks.base import run_alone
from models.tasks.intent import IntentTask


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Score every line; raises BenchmarkError for one without query or label."""
    truths = [line.text("label") for line in lines]
    texts = [line.text("query") for line in lines]
    names = {code: name["zh"] for code, name in intents().items()}
    entry = repository.get(IntentTask.model)
    task = IntentTask(entry.manifest, entry.folder)
    backend = OnnxBackend(entry.network)
    answers = []
    for text in track(texts, len(texts), "intent"):
        code, probability = run_alone(task, backend, text)[0]
        answers.append((names[code], probability))
    return scored_labels(
        lines, truths, answers, names.values(), entry.manifest, "queries",
        "The most probable intent of the intent model, for every row.",
    )  # fmt: skip
