"""The upload page and an imaging case over HTTP: files, the opinion's parts, a prior study."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from models.imaging.opinion import (
    DEVICE_LABEL,
    Abstention,
    HeadOpinion,
    ImagingResult,
    LabelProbability,
    OperatingPoint,
    Subgroup,
)
from serving import audit, decisions
from serving.decisions import DecisionRecord
from serving.storage.canonical import Json
from serving.storage.codes import DecisionKind, Role
from serving.web import comparison
from serving.web.case_view import imaging_view
from serving.web.pages import Preferences, environment
from serving.web.strings import translator
from tests.serving.conftest import Api
from tests.serving.web.test_pages import csrf

PAGE = "/console/studies/new"


def picture(shade: int = 128) -> bytes:
    held = io.BytesIO()
    Image.linear_gradient("L").point(lambda v: (v + shade) % 256).save(held, "PNG")
    return held.getvalue()


@dataclass(frozen=True)
class Reader:
    """A physician's browser."""

    client: TestClient
    token: str
    api: Api

    def send(
        self,
        *files: bytes,
        fields: Mapping[str, str] = {"task": "cxr_pneumonia", "age": "3"},
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        return self.client.post(
            PAGE,
            data={"csrf": self.token, **fields},
            files=[("files", (f"{number}.png", data)) for number, data in enumerate(files)],
            headers=dict(headers or {}),
            follow_redirects=False,
        )

    def study(self, shade: int = 128) -> DecisionRecord:
        """A recorded study."""
        answer = self.send(picture(shade))
        assert answer.status_code == 303, answer.text
        task_id = answer.headers["location"].rsplit("/", 1)[1]
        return decisions.under_review(self.api.services.db, task_id)

    def case(self, study: DecisionRecord, query: str = "") -> httpx.Response:
        return self.client.get(f"/console/cases/{study.review_task_id}{query}")


@pytest.fixture
def reader(api: Api) -> Reader:
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal  # the loop that the engine runs in
    page = client.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    return Reader(client, csrf(page), api)


def stored(api: Api) -> int:
    return len(decisions.recent(api.services.db, DecisionKind.IMAGING, "cxr_pneumonia", limit=500))


def test_the_page_says_what_each_task_expects(reader: Reader) -> None:
    page = reader.client.get(PAGE).text
    assert re.search(r'name="task" value="cxr_pneumonia"', page)
    assert "适用年龄" in page
    assert 'name="sex"' in page


def test_every_wrong_file_gets_its_own_words_and_nothing_is_kept(reader: Reader) -> None:
    before = stored(reader.api)
    answer = reader.send(b"nothing", picture(), picture()[:150])
    assert answer.status_code == 415
    said = dict(re.findall(r'data-file-problem="(\d)">[^<]*<span>([^<]+)', answer.text))
    assert set(said) == {"0", "2"}
    assert "不是影像" in said["0"]
    assert "损坏" in said["2"]
    assert stored(reader.api) == before


@pytest.mark.parametrize(
    ("field", "value"), [("age", "abc"), ("age", "200"), ("sex", "x"), ("site", "moon")]
)
def test_what_cannot_be_is_refused_and_what_was_typed_stays(
    reader: Reader, field: str, value: str
) -> None:
    before = stored(reader.api)
    fields = {"task": "cxr_pneumonia", "age": "4", "sex": "female"} | {field: value}
    answer = reader.send(picture(), fields=fields)
    assert answer.status_code == 422
    assert f'value="{fields["age"]}"' in answer.text
    assert stored(reader.api) == before


def test_an_unknown_task_is_refused(reader: Reader) -> None:
    assert reader.send(picture(), fields={"task": "palm_reading"}).status_code == 404


def test_the_pages_script_is_told_where_the_case_is(reader: Reader) -> None:
    answer = reader.send(picture(), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert re.fullmatch(r"/console/cases/rev_\w{26}", answer.headers["hx-redirect"])


def test_what_is_known_of_the_patient_is_recorded(reader: Reader) -> None:
    answer = reader.send(
        picture(), fields={"task": "cxr_pneumonia", "age": "3", "sex": "female", "site": "face"}
    )
    task_id = answer.headers["location"].rsplit("/", 1)[1]
    record = decisions.under_review(reader.api.services.db, task_id)
    assert (record.input["age_years"], record.input["sex"]) == (3, "female")


def test_a_prior_study_is_shown_by_either_id_and_the_view_is_audited(reader: Reader) -> None:
    now, prior = reader.study(1), reader.study(2)
    for wanted in (prior.id, prior.review_task_id):
        page = reader.case(now, f"?prior={wanted}")
        assert page.status_code == 200
        assert f"/v1/imaging/studies/{prior.id}/image.png" in page.text
        assert "请自行确认" in page.text
    events = audit.list_events(reader.api.services.db, subject=prior.id)
    assert [e.action for e in events].count("decision.viewed") == 2


def test_recent_studies_are_offered_by_time_and_id_alone(reader: Reader) -> None:
    now, prior = reader.study(3), reader.study(4)
    page = reader.case(now).text
    assert f"?prior={prior.id}" in page
    assert f"?prior={now.id}" not in page


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ("dec_" + "0" * 26, 404, "没有这个编号"),
        ("rev_" + "0" * 26, 404, "没有这个编号"),
        ("张三", 422, "编号格式不对"),
        ("<script>", 422, "编号格式不对"),
    ],
)
def test_a_prior_study_that_is_not_there_is_said_in_words_beside_the_case(
    reader: Reader, wanted: str, status: int, words: str
) -> None:
    page = reader.case(reader.study(5), f"?prior={wanted}")
    assert page.status_code == status
    assert words in page.text
    assert "data-viewer" in page.text
    assert "<script>" not in page.text


def test_a_study_is_not_compared_with_itself_or_with_another_kind(reader: Reader) -> None:
    now = reader.study(6)
    triage = reader.api.client.post(
        "/v1/triage", json={"text": "头痛两天", "age_years": 30}, headers=reader.api.app_user
    ).json()
    for wanted in (now.id, triage["decision_id"]):
        page = reader.case(now, f"?prior={wanted}")
        assert page.status_code == 422
        assert "不是同一任务" in page.text


def test_only_an_id_is_kept_through_a_claim(reader: Reader) -> None:
    now, prior = reader.study(7), reader.study(8)
    for wanted, query in ((prior.id, f"?prior={prior.id}"), ("x&y=//evil", "")):
        answer = reader.client.post(
            f"/console/cases/{now.review_task_id}/claim",
            data={"csrf": reader.token, "prior": wanted},
            follow_redirects=False,
        )
        assert answer.headers["location"] == f"/console/cases/{now.review_task_id}{query}"


def test_other_kinds_of_cases_offer_no_comparison(reader: Reader) -> None:
    found = reader.api.client.post(
        "/v1/acuity", json={"text": "胸痛", "age_years": 60}, headers=reader.api.physician
    ).json()
    record = decisions.get(reader.api.services.db, found["decision_id"])
    page = reader.case(record, "?prior=dec_1")
    assert page.status_code == 200
    assert "prior-form" not in page.text


def full_result() -> ImagingResult:
    """An opinion with every part that one can have."""

    def label(code: str, zh: str, probability: float) -> LabelProbability:
        return LabelProbability(
            code=code, name={"zh": zh, "en": code.title()}, probability=probability
        )

    point = OperatingPoint(
        label="referable",
        name={"zh": "需转诊", "en": "Referable"},
        probability=0.81,
        threshold=0.42,
        positive=True,
        measured={"sensitivity": {"value": 0.953, "low": 0.91, "high": 0.98}},
    )

    def head(code: str, *, research: bool) -> HeadOpinion:
        return HeadOpinion(
            code=code,
            name={"zh": f"问题{code}", "en": f"Question {code}"},
            research_only=research,
            probabilities=(label("low", "低", 0.3), label("high", "高", 0.7)),
            prediction_set=("high",),
            coverage=0.9,
            operating_point=None,
        )

    return ImagingResult(
        label=DEVICE_LABEL,
        task="fundus_dr",
        model_version=3,
        age_years=61,
        sex="female",
        modality="OP",
        body_part=None,
        looks_like=(label("fundus", "眼底照片", 0.98),),
        expected={"zh": "彩色眼底照片", "en": "a fundus photograph"},
        probabilities=(label("none", "无", 0.2), label("mild", "轻度", 0.8)),
        prediction_set=("none", "mild"),
        coverage=0.9,
        operating_point=point,
        also=(head("a", research=False), head("b", research=True)),
        subgroups=(
            Subgroup(group="age=40-64", metrics={"auc": {"value": 0.9, "low": None, "high": None}}),
        ),
        abstained=("undecided",),
        explanations=({"zh": "无法区分", "en": "Cannot tell"},),
        ood_score=0.4,
        ood_threshold=1.0,
        quality=(),
        warnings=(),
    )


def drawn(api: Api, record: DecisionRecord, result: ImagingResult) -> str:
    """The imaging part of a case page in English."""
    images: list[Json] = [result.model_dump(mode="json")]
    shown = replace(record, result={"images": images})
    view = imaging_view(api.services, shown)
    template = environment().get_template("console/imaging.html")
    return template.render(
        t=translator("en"),
        lang="en",
        prefs=Preferences("en"),
        here="/console/cases/x",
        view=view,
        comparison=comparison.Comparison("", None, None, 200, None, ()),
        icon=lambda _name: "",
    )


def test_the_panel_shows_every_part_of_an_opinion(reader: Reader) -> None:
    page = drawn(reader.api, reader.study(9), full_result())
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for words in (
        "Referable 81.0 %",
        "threshold 42.0 %",
        "95.3 % 95 % interval 91–98 %",
        "None / Mild",
        "Question a",
        "40-64 years",
        "0.4 / limit 1",
        "It cannot tell apart: None / Mild",
        "Female",
        "fundus_dr@3",
    ):
        assert words in text
    assert "This looks like" not in text, "its kind is not in doubt"


@pytest.mark.parametrize("reason", ["wrong_kind", "out_of_distribution"])
def test_a_picture_of_another_kind_is_told_what_it_looks_like_and_what_was_expected(
    reader: Reader, reason: Abstention
) -> None:
    refused = full_result().model_copy(
        update={"abstained": (reason,), "probabilities": (), "prediction_set": ()}
    )
    page = drawn(reader.api, reader.study(9), refused)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "This looks like: Fundus 98 %" in text
    assert "The model reads: a fundus photograph" in text


def test_what_is_for_research_is_folded_and_marked(reader: Reader) -> None:
    page = drawn(reader.api, reader.study(10), full_result())
    folded = re.search(r'<details class="head research">(.+?)</details>', page, re.DOTALL)
    assert folded
    assert "Question b" in folded[1]
    assert "Research only" in folded[1]
    assert "antibiotic" in folded[1]
    assert page.count("Question b") == 1


def test_a_record_of_before_the_newer_parts_is_shown(reader: Reader) -> None:
    record = reader.study(11)
    newer = {"looks_like", "expected", "also", "subgroups", "sex"}
    old = full_result().model_dump(mode="json", exclude=newer)
    page = drawn(reader.api, record, ImagingResult.model_validate(old))
    assert "Mild" in page
    assert "Question" not in page
