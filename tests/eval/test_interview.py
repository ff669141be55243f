"""The interview benchmark: patients answer what is asked, in words, and nothing leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.interview import Player
from eval.readers import Line, read_lines
from eval.result import BenchmarkError
from eval.run import run
from eval.simulated_patient import NoisyPatient, SimulatedPatient, Vignette, vignette
from knowledge_base.lexicon.findings import lexicon
from models.repository import ModelRepository
from models.tasks.triage import Judged
from models.triage.result import Choice, QuestionResult

ROW = {
    "correct_diagnosis": "SECRET",
    "demographics": "58 year old Male",
    "chief_complaints": "Headache",
    "presentation": "The headache began this morning. He has a stiff neck. He fell off a chair. "
    "He has double vision and vomited twice.",
    "absent_findings": "No fever, No confusion",
    "physical_history": "Hypertension",
    "social_history": "-",
}


def row(**changed: str) -> Line:
    return Line("own.jsonl", 1, {**ROW, **changed})


def question(*codes: str, code: str | None = None) -> QuestionResult:
    words = {"zh": "？", "en": "?"}
    choices = tuple(Choice(value="present", name=words, code=c) for c in codes)  # type: ignore[arg-type]
    return QuestionResult(
        code=code or codes[0], codes=codes, text=words, choices=choices, reason=words
    )


@pytest.fixture(scope="module")
def player() -> Player:
    return Player(ModelRepository())


@pytest.fixture(scope="module")
def case() -> Vignette:
    return vignette(row())


@pytest.fixture(scope="module")
def full(player: Player, case: Vignette) -> Judged:
    return player.whole(case)


@pytest.fixture
def patient(case: Vignette, full: Judged) -> SimulatedPatient:
    return SimulatedPatient(case, full.case.facts, full.case.readings, lexicon())


def test_the_first_words_are_age_sex_and_complaint_alone(patient: SimulatedPatient) -> None:
    assert patient.opening() == "58 year old Male. Headache."


def test_the_diagnosis_is_nowhere(case: Vignette) -> None:
    assert "SECRET" not in "".join(case.whole)


def test_an_empty_field_is_no_history(case: Vignette) -> None:
    assert case.background == ("Hypertension",)


def test_a_present_finding_is_told_in_its_own_clause_only(patient: SimulatedPatient) -> None:
    said = patient.reply(question("neck_stiffness"))
    assert said == "Yes, He has a stiff neck"


def test_what_is_denied_or_not_mentioned_is_a_no(patient: SimulatedPatient) -> None:
    assert patient.reply(question("fever")) == "No."
    assert patient.reply(question("haemoptysis")) == "No."


def test_of_several_only_those_that_are_there_are_named(patient: SimulatedPatient) -> None:
    said = patient.reply(question("neck_stiffness", "diplopia", "fever"))
    assert "stiff neck" in said
    assert "double vision" in said
    assert "fever" not in said


def test_an_open_question_gets_two_sentences_then_the_next(patient: SimulatedPatient) -> None:
    assert patient.reply(question(code="story")) == (
        "The headache began this morning. He has a stiff neck."
    )
    assert patient.reply(question(code="anything_else")).startswith("He fell off a chair.")
    assert patient.reply(question(code="anything_more")) == "No, nothing else."


def test_the_background_is_the_history(patient: SimulatedPatient) -> None:
    assert patient.reply(question(code="background")).startswith("Hypertension")


def test_the_noisy_patient_leaves_half_unanswered_and_repeats_itself(
    case: Vignette, full: Judged
) -> None:
    known = (case, full.case.facts, full.case.readings, lexicon())
    one, two = NoisyPatient(*known), NoisyPatient(*known)
    asked = [question("neck_stiffness")] * 200
    first = [one.reply(q) for q in asked]
    assert first == [two.reply(q) for q in asked]
    missing = sum("neck" not in said for said in first)
    assert 70 <= missing <= 130


def test_the_interview_finds_what_the_whole_story_says(
    player: Player, case: Vignette, full: Judged, patient: SimulatedPatient
) -> None:
    played = player.play(case, full, patient)
    assert played.first > played.last
    assert played.agrees
    assert len(played.questions) <= 8
    assert len(set(played.questions)) == len(played.questions)


def test_an_emergency_is_asked_nothing(player: Player) -> None:
    case = vignette(row(chief_complaints="Crushing chest pain, cold sweat"))
    full = player.whole(case)
    patient = SimulatedPatient(case, full.case.facts, full.case.readings, lexicon())
    played = player.play(case, full, patient)
    assert played.questions == ()
    assert played.last == 1


def test_the_benchmark_reports_every_metric(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "chief_complaints": "Cough"}))
    result = run("interview", file, report=tmp_path / "report.md")
    assert result.scored.n == len(read_lines(file))
    assert {
        "median_questions", "mean_questions", "agreement_clean", "agreement_noisy",
        "agreement_closed", "agreement_first", "changed_from_first", "raised", "lowered",
        "asked_nothing",
    } <= result.metrics.keys()  # fmt: skip
    assert "stiff" not in (tmp_path / "report.md").read_text()


def test_a_row_without_complaints_is_refused_by_its_line() -> None:
    with pytest.raises(BenchmarkError, match="line 1"):
        vignette(Line("own.jsonl", 1, {"demographics": "58 year old Male"}))
