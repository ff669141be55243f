"""The answers benchmark: its formats, its folds, and that no label reaches a feature."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.answers.bench import read
from eval.answers.collection import hosted_judge
from eval.answers.features import features
from eval.answers.folds import folds
from eval.answers.logistic import fit
from eval.answers.texts import AnswerText, AskedText, Pool, alike, aspect_lexicon
from eval.readers import read_lines
from eval.result import BenchmarkError
from eval.run import evaluated_models, run
from knowledge_base.tokeniser import tokenise
from tests.eval.files import write_lines
from tests.knowledge_base.embedders import HashedTokens

DISEASES = (
    "Gout", "Asthma", "Measles", "Malaria", "Psoriasis", "Glaucoma", "Anemia", "Scurvy", "Rickets",
    "Cholera", "Tetanus", "Mumps",
)  # fmt: skip
QUESTION = "What are the signs and symptoms of Gout?"
Row = dict[str, object]


def _question(number: int, disease: str) -> Row:
    """Right answers name the disease, the others name the next one; system_rank lies."""
    other = DISEASES[(number + 1) % len(DISEASES)]
    texts = (
        (4, f"{disease} (Treatment): {disease} is treated with rest and {disease} tablets."),
        (3, f"{disease}: {disease} is a disease. It has treatments."),
        (1, f"{other} {number} (Symptoms): {other} makes itself felt in room {number}."),
        (2, f"Hospital food {number}: The canteen opens at {number}. Bring a tray."),
    )
    answers = [
        {"text": text, "score": score, "rank": place, "system_rank": 5 - place}
        for place, (score, text) in enumerate(texts, start=1)
    ]
    return {"id": str(number), "question": f"How is {disease} treated?", "answers": answers}


def _rows(diseases: Sequence[str] = DISEASES) -> list[Row]:
    return [_question(i, disease) for i, disease in enumerate(diseases)]


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "mediqa2019_qa.train.jsonl.gz", _rows())


@pytest.fixture(autouse=True)
def _no_data_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FENZHEN_DATA", raising=False)


def _method(path: Path, report: Path) -> str:
    run("answers", path, report=report)
    return report.read_text(encoding="utf-8")


def test_a_training_file_is_scored_out_of_five_folds(training: Path, tmp_path: Path) -> None:
    result = run("answers", training, report=tmp_path / "r.md")
    assert list(result.metrics) == ["accuracy", "precision_at_1", "mrr"]
    assert result.scored.n == len(DISEASES)
    assert result.metrics["precision_at_1"] > 0.9
    assert result.metrics["accuracy"] > 0.9
    report = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "Fitted in 5 folds by question" in report
    assert "precision_at_1 by fold: " in report
    assert "Gout" not in report


@pytest.mark.usefixtures("training")
def test_another_part_is_scored_by_what_the_training_part_beside_it_teaches(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "mediqa2019_qa.dev.jsonl", _rows(("Gout", "Lupus", "Croup")))
    report = _method(file, tmp_path / "r.md")
    assert "Fitted on 11 questions of mediqa2019_qa.train.jsonl.gz (1 left out" in report
    assert "by fold" not in report


def test_the_training_part_is_also_found_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "text").mkdir(parents=True)
    write_lines(tmp_path / "data" / "text" / "mediqa2019_qa.train.jsonl", _rows())
    file = write_lines(tmp_path / "unnamed.jsonl", _rows(("Lupus", "Croup")))
    monkeypatch.setenv("FENZHEN_DATA", str(tmp_path / "data"))
    assert "Fitted on 12 questions" in _method(file, tmp_path / "r.md")


def test_a_test_part_without_a_training_part_is_refused(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "mediqa2019_qa.test.jsonl.gz", _rows())
    with pytest.raises(BenchmarkError, match=r"no mediqa2019_qa\.train\.jsonl\.gz to learn from"):
        run("answers", file)


def test_a_file_of_another_name_stands_alone_where_there_is_no_training_part(
    tmp_path: Path,
) -> None:
    file = write_lines(tmp_path / "ours.jsonl", _rows())
    assert "5 folds by question" in _method(file, tmp_path / "r.md")


def test_answers_that_are_all_right_teach_nothing(tmp_path: Path) -> None:
    rows = [{"question": "q?", "answers": [{"text": "a", "score": 4}]}]
    with pytest.raises(BenchmarkError, match="nothing to learn from"):
        run("answers", write_lines(tmp_path / "a.jsonl", rows))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"answers": [{"text": "a", "score": 1}]}, "'question' must be text"),
        ({"question": " ", "answers": [{"text": "a", "score": 1}]}, "'question' is empty"),
        ({"question": "q"}, "'answers' must be a list"),
        ({"question": "q", "answers": []}, "'answers' must be a list of at least one"),
        ({"question": "q", "answers": ["a"]}, "answer 1 must be an object"),
        ({"question": "q", "answers": [{"score": 1}]}, "answer 1: 'text' must be text"),
        ({"question": "q", "answers": [{"text": "a"}]}, "answer 1: 'score' must be"),
        ({"question": "q", "answers": [{"text": "a", "score": 5}]}, "'score' must be 1, 2, 3 or 4"),
        ({"question": "q", "answers": [{"text": "a", "score": True}]}, "'score' must be"),
        ({"question": "q", "answers": [{"text": "a", "score": [3]}]}, "'score' must be"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, row: Row, words: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", [_question(0, "Gout"), row])
    with pytest.raises(BenchmarkError, match=f"line 2: .*{words}"):
        read(read_lines(path))


def test_labels_never_reach_features(training: Path, tmp_path: Path) -> None:
    rows = _rows()
    for row in rows:
        for answer in row["answers"]:  # type: ignore[attr-defined]
            answer |= {"score": 5 - answer["score"], "rank": 1, "system_rank": 1}
    changed = write_lines(tmp_path / "changed.jsonl", rows)
    told, turned = (read(read_lines(path)) for path in (training, changed))
    assert [j.relevant for j in told] != [j.relevant for j in turned]
    first, second = (features([j.pool for j in js], HashedTokens()) for js in (told, turned))
    assert first[0] == second[0]
    for one, other in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_order_of_the_answers_is_no_feature_and_breaks_no_tie(
    training: Path, tmp_path: Path
) -> None:
    rows = copy.deepcopy(_rows())
    for row in rows:
        row["answers"] = list(reversed(row["answers"]))  # type: ignore[call-overload]
    there = [j.pool for j in read(read_lines(training))]
    back = [Pool(pool.question, pool.answers[::-1]) for pool in there]
    for one, other in zip(*(features(p, HashedTokens())[1] for p in (there, back)), strict=True):
        np.testing.assert_allclose(one, other[::-1], atol=1e-9)
    turned = write_lines(tmp_path / "turned.train.jsonl", rows[::-1])
    assert run("answers", turned).metrics == pytest.approx(run("answers", training).metrics)


def test_chance_alone_is_not_beaten(tmp_path: Path) -> None:
    """Labels drawn without regard to the texts cannot be learned out of the folds."""
    rng = np.random.default_rng(3)
    rows = _rows([f"{disease}{i}" for i in range(4) for disease in DISEASES])
    for row in rows:
        for answer in row["answers"]:  # type: ignore[attr-defined]
            answer["score"] = int(rng.choice([1, 4]))
    found = run("answers", write_lines(tmp_path / "a.train.jsonl", rows)).metrics
    assert found["accuracy"] < 0.6


def test_no_question_is_in_two_folds() -> None:
    shared = ("Flu: a", "Flu: b", "Flu: c")
    pools = [Pool(f"{asked} flu?", (*shared, asked)) for asked in ("What is", "What causes")]
    pools += [Pool(f"question {i}", (f"answer {i}", f"other {i}")) for i in range(20)]
    pools += [Pool("question 3", ("wholly", "other answers"))]
    found = folds(pools)
    assert found[0] == found[1]
    assert found[5] == found[-1]
    assert sorted(set(found.tolist())) == [0, 1, 2, 3, 4]
    assert max(np.bincount(found)) - min(np.bincount(found)) <= 2
    np.testing.assert_array_equal(folds(pools[::-1])[::-1], found)


def test_the_regression_finds_what_separates() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 5))
    odds = 2.0 * rows[:, 1] - rows[:, 3]
    truth = rng.random(400) < 1 / (1 + np.exp(-odds))
    model = fit(rows, truth, np.arange(400) % 5)
    assert np.corrcoef(model.weights[1:], [0, 2, 0, -1, 0])[0, 1] > 0.95
    assert np.mean((model.probabilities(rows) >= 0.5) == truth) > 0.75
    assert model.probabilities(rows).mean() == pytest.approx(truth.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("text", "head", "part"),
    [
        ("VDRL test (Abnormal Results Mean This): No", "VDRL test", "Abnormal Results Mean This"),
        ("Swine flu (H1N1 flu): Technically", "Swine flu (H1N1 flu)", ""),
        ("Influenza (flu) (Treatment): Usually", "Influenza (flu)", "Treatment"),
        ("What are the signs and symptoms of Gout?: Pain", "Gout", QUESTION),
        ("How to diagnose Flu?: Most", "Flu", "How to diagnose Flu?"),
        ("No title here", "", ""),
    ],
)
def test_a_title_is_read(text: str, head: str, part: str) -> None:
    read_as = AnswerText.of(text)
    assert (read_as.head, read_as.part) == (head, part)


def test_what_is_asked_is_read() -> None:
    def named(text: str) -> set[str]:
        flags = AskedText(text).aspects
        return {n for n, flag in zip(aspect_lexicon().names, flags, strict=True) if flag}

    assert named("What are the treatments of Flu?") == {"treatment", "overview"}
    assert named("How to diagnose Flu?") == {"diagnosis"}
    assert named("Is it inherited? My design is signed.") == {"genetics"}
    assert AskedText("achalasia. after surgery, will it stop?").subject == "achalasia"


def test_misspelt_words_are_alike_and_others_are_not() -> None:
    assert alike("wiedemann", tokenise("Wieddeman")) > 0.7
    assert alike("asthma", ("anemia", "eczema")) == 0.0
    assert alike("flu", ("flue",)) == 0.0


def test_a_reranker_is_one_more_feature() -> None:
    def shares(question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        asked = set(tokenise(question))
        held = [len(asked.intersection(tokenise(p))) / len(asked) for p in passages]
        return np.array(held, dtype=np.float32)

    pools = [Pool("gout diet", ("Cholera: water", "Gout: Gout and diet. A diet for gout it is."))]
    names, [plain] = features(pools, HashedTokens())
    more, [judged] = features(pools, HashedTokens(), shares)
    added = {n for n in more if n.removesuffix("_opening").endswith("judged")}
    assert set(more) - set(names) == added
    assert judged[:, more.index("judged")].tolist() == [0.0, 1.0]
    assert plain.shape[1] < judged.shape[1]


def test_the_repository_says_whether_it_has_a_reranker() -> None:
    repository = evaluated_models()
    has = any(e.manifest.name == "reranker" for e in repository.entries())
    assert (hosted_judge(repository) is not None) == has
