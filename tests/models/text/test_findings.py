"""Findings in context: the probes that people and models are known to fail."""

from __future__ import annotations

import pytest

from models.text.findings import Finding, Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def only(reader: Reader, text: str, code: str) -> Finding:
    found = [f for f in reader.read(text).findings if f.code == code]
    assert found, f"{code} not found in {text}: {[f.code for f in reader.read(text).findings]}"
    return found[0]


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("胸痛三天", "chest_pain", "present"),
        ("没有胸痛", "chest_pain", "absent"),
        ("胸口不痛，就是憋气", "chest_pain", "absent"),
        ("胸口不痛，就是憋气", "dyspnoea", "present"),
        ("否认胸痛、气短", "dyspnoea", "absent"),
        ("无发热、咳嗽、胸痛", "chest_pain", "absent"),
        ("未见发热，咳嗽两天", "cough", "present"),
        ("没有发烧，但是胸痛", "chest_pain", "present"),
        ("不是不胸痛", "chest_pain", "present"),
        ("头不是不疼", "headache", "present"),
        ("胸痛没有缓解", "chest_pain", "present"),
        ("有没有胸痛", "chest_pain", "unknown"),
        ("不能排除心梗", "myocardial_infarction", "unknown"),
        ("排除了心梗", "myocardial_infarction", "absent"),
        ("发烧没有，咳嗽没有", "fever", "absent"),
        ("發燒", "fever", "present"),
        ("冇發燒", "fever", "absent"),
        ("咳嗽不停", "cough", "present"),
        ("Denies chest pain. Reports SOB.", "chest_pain", "absent"),
        ("Denies chest pain. Reports SOB.", "dyspnoea", "present"),
        ("No chest pain, palpitations, or cough.", "cough", "absent"),
        ("No fever, severe headache since noon", "severe_headache", "present"),
        ("No SOB but has chest tightness", "chest_tightness", "present"),
        ("not sure if I have a fever", "fever", "unknown"),
        ("I can’t catch my breath", "dyspnoea", "present"),
        ("I do not have chest pain but my heart is racing", "palpitations", "present"),
        ("chest pain without relief", "chest_pain", "present"),
        ("头晕，心梗除外", "myocardial_infarction", "absent"),
        ("fever: none", "fever", "absent"),
        ("pneumonia was ruled out, still coughing", "pneumonia", "absent"),
        ("without my inhaler I am wheezing", "wheezing", "present"),
        ("不能说没有胸闷", "chest_tightness", "present"),
        ("我不否认有胸痛", "chest_pain", "present"),
        ("it's not that my chest doesn't hurt", "chest_pain", "present"),
        ("I can't say I have no chest pain", "chest_pain", "present"),
        ("my knee is not swollen", "joint_swelling", "absent"),
        ("我从来没有想过自杀", "suicidal_ideation", "absent"),
        ("新闻说有人晕倒了，我想学心肺复苏", "syncope", "unknown"),
        ("our dog had a seizure, I just have a runny nose", "seizure", "unknown"),
        ("有人晕倒了", "syncope", "present"),
        ("我家狗咬了我，出血了", "bleeding", "present"),
    ],
)
def test_status_follows_its_scope(reader: Reader, text: str, code: str, status: str) -> None:
    assert only(reader, text, code).status == status


@pytest.mark.parametrize(
    ("text", "code", "experiencer"),
    [
        ("我胸痛", "chest_pain", "self"),
        ("我妈妈胸痛", "chest_pain", "relative"),
        ("孩子发烧了", "fever", "relative"),
        ("家里人有高血压，我最近头晕", "hypertension", "family"),
        ("家里人有高血压，我最近头晕", "dizziness", "self"),
        ("My mother has diabetes. I have a headache.", "diabetes", "relative"),
        ("My mother has diabetes. I have a headache.", "headache", "self"),
        ("family history of diabetes", "diabetes", "family"),
        ("有胃癌家族史，我最近打嗝", "gastric_cancer", "family"),
        ("heart disease runs in my family", "heart_disease", "family"),
    ],
)
def test_whose_finding_it_is(reader: Reader, text: str, code: str, experiencer: str) -> None:
    assert only(reader, text, code).experiencer == experiencer


@pytest.mark.parametrize(
    ("text", "code", "temporality"),
    [
        ("以前有过胸痛", "chest_pain", "past"),
        ("小时候得过哮喘", "asthma", "past"),
        ("三天前开始胸痛", "chest_pain", "now"),
        ("history of chest pain", "chest_pain", "past"),
        ("chest pain since this morning", "chest_pain", "now"),
    ],
)
def test_when_it_was(reader: Reader, text: str, code: str, temporality: str) -> None:
    assert only(reader, text, code).temporality == temporality


@pytest.mark.parametrize(
    ("text", "code", "hours"),
    [
        ("胸痛30分钟", "chest_pain", 0.5),
        ("咳嗽半个月了", "cough", 360),
        ("头痛三天", "headache", 72),
        ("headache for 3 days", "headache", 72),
        ("chest pain for 25 minutes", "chest_pain", 25 / 60),
        ("头痛两天半", "headache", 60),
        ("呼吸困难 3 天", "dyspnoea", 72),
        ("a cough for a fortnight", "cough", 336),
        ("chest pain for half an hour", "chest_pain", 0.5),
        ("headache since Monday", "headache", 84),
        ("There is a seizure. It has gone on for ten minutes.", "seizure", 1 / 6),
    ],
)
def test_how_long_it_has_gone_on(reader: Reader, text: str, code: str, hours: float) -> None:
    assert only(reader, text, code).duration_hours == pytest.approx(hours)


@pytest.mark.parametrize(
    ("text", "code", "onset", "course"),
    [
        ("突然头痛", "sudden_headache", "sudden", None),
        ("胸痛慢慢加重", "chest_pain", "gradual", "worsening"),
        ("头痛一阵一阵的", "headache", None, "comes_and_goes"),
        ("胸痛反复发作", "chest_pain", None, "recurrent"),
        ("咳嗽好多了", "cough", None, "improving"),
        ("咳嗽没有好转", "cough", None, None),
        ("the headache comes and goes", "headache", None, "comes_and_goes"),
        ("constant knee pain", "knee_pain", None, "constant"),
        ("the rash is not improving", "rash", None, None),
    ],
)
def test_how_it_began_and_goes_on(
    reader: Reader, text: str, code: str, onset: str | None, course: str | None
) -> None:
    finding = only(reader, text, code)
    assert (finding.onset, finding.course) == (onset, course)


@pytest.mark.parametrize(
    ("text", "code", "severity"),
    [
        ("chest pain 8/10", "chest_pain", "severe"),
        ("膝盖疼3/10", "knee_pain", "mild"),
        ("severe headache and vomiting", "vomiting", None),
    ],
)
def test_how_bad_it_is(reader: Reader, text: str, code: str, severity: str | None) -> None:
    found = only(reader, text, code).severity
    assert (found.name if found else None) == severity


def test_a_blocked_longer_term_gives_way_to_a_shorter_one(reader: Reader) -> None:
    codes = {f.code for f in reader.read("胸痛放射到左肩左臂和下颌").findings}
    assert {"chest_pain", "pain_radiating_to_arm"} <= codes


def test_small_words_inside_a_term_do_not_break_it(reader: Reader) -> None:
    finding = only(reader, "胸口特别痛", "chest_pain")
    assert finding.text == "胸口特别痛"
    assert finding.severity is not None
    assert finding.severity.name == "severe"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("胎动比昨天少很多", "reduced_fetal_movement"),
        ("胎动比平时少", "reduced_fetal_movement"),
        ("宝宝在肚子里动得少", "reduced_fetal_movement"),
        ("心跳比平时快", "palpitations"),
        ("呼吸比之前快", "tachypnoea"),
    ],
)
def test_a_comparison_with_before_stands_inside_a_term(
    reader: Reader, text: str, code: str
) -> None:
    assert only(reader, text, code).status == "present"


def test_every_span_holds_the_patients_own_words(reader: Reader) -> None:
    text = "我媽媽昨晚開始胸悶、氣短，沒有發燒。She has SOB too."
    for finding in reader.read(text).findings:
        assert text[finding.start : finding.end] == finding.text


def test_a_word_inside_another_is_not_a_finding(reader: Reader) -> None:
    codes = {f.code for f in reader.read("I have been sober for 2 years").findings}
    assert "dyspnoea" not in codes
