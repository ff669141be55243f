"""The retrieval benchmark on small collections in BEIR's layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from eval.retrieval import ndcg, read_collection, recall, reciprocal_rank
from eval.run import BenchmarkError, run

CORPUS = {
    "d1": "Croup is a barking cough of small children, often at night.",
    "d2": "Gout is a painful red joint, often of the big toe.",
    "d3": "Shingles is a band of painful blisters on one side.",
}
QUERIES = {"q1": "barking cough at night", "q2": "painful big toe", "q3": "nobody judged this"}


def write(folder: Path, **files: str) -> Path:
    """The collection, with some of its files replaced."""
    (folder / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": k, "title": "", "text": t}) for k, t in CORPUS.items()]
    asked = [json.dumps({"_id": k, "text": t}) for k, t in QUERIES.items()]
    plain = {
        "corpus.jsonl": "\n".join(rows),
        "queries.jsonl": "\n".join(asked),
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td3\t0\n",
    }
    for name, text in (plain | files).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_small_collection_is_found_in_full(tmp_path: Path) -> None:
    result = run("retrieval", write(tmp_path / "small"))
    assert (result.scored.n, result.metrics["ndcg_at_10"]) == (2, 1.0)
    assert result.metrics["mrr_at_10"] == result.metrics["recall_at_100"] == 1.0


def test_a_gzipped_corpus_is_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "small")
    plain = folder / "corpus.jsonl"
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    before = read_collection(folder)
    plain.unlink()
    assert read_collection(folder) == before


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"corpus.jsonl": "{"}, "line 1 has no _id"),
        ({"corpus.jsonl": '{"_id": "a"}'}, "a has no text"),
        ({"corpus.jsonl": '{"_id": 1, "text": "x"}\n{"_id": "1", "text": "y"}'}, "came before"),
        ({"queries.jsonl": "[]"}, "queries"),
        ({"qrels/test.tsv": "q9\td1\t1\n"}, "no query q9"),
        ({"qrels/test.tsv": "q1\td1\n"}, "line 1"),
        ({"qrels/test.tsv": "q1\td1\t0\n"}, "no query has"),
        ({"qrels/dev.tsv": "", "qrels/train.tsv": "", "qrels/test.tsv": ""}, "no query has"),
    ],
)
def test_a_collection_in_another_shape_is_refused(
    tmp_path: Path, files: dict[str, str], why: str
) -> None:
    with pytest.raises(BenchmarkError, match=why):
        read_collection(write(tmp_path / "bad", **files))


def test_a_file_is_no_collection(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="folder"):
        read_collection(tmp_path / "nothing")


def test_metrics_by_hand() -> None:
    relevant = {"a": 2, "b": 1}
    assert ndcg(["a", "b"], relevant) == pytest.approx(1.0)
    swapped = (1 + 2 / 1.584962500721156) / (2 + 1 / 1.584962500721156)
    assert ndcg(["b", "a"], relevant) == pytest.approx(swapped)
    assert reciprocal_rank(["x", "y", "b"], relevant) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"] * 10 + ["a"], relevant) == 0.0
    assert recall(["b"], relevant) == 0.5
