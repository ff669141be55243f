"""/v1/knowledge around search: documents, versions, feedback, proposals, and who may do what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from knowledge_base.cards import FOR_PATIENTS, cards
from knowledge_base.search.entry import Cited, Entry, Shown
from knowledge_base.search.index import KnowledgeIndex
from serving import users
from serving.storage.codes import Role
from tests.knowledge_base.embedders import HashedTokens
from tests.serving.conftest import Api
from tests.serving.curation.answers import NOT_QUOTED, QUOTED, record_answer

STAFF = Entry(
    "shelf/leeches.xml#k 1~aa", "document", "shelf/leeches.xml#k 1",
    {"en": Shown("Handbook of leeches", ("Care", "Water"), "Keep leeches cool.")},
    ("physician",), (), 2019, "unknown", "unstated",
    (Cited("s1", "WHO", "Handbook of leeches", 2019, "x", False),), start=7, page=3,
)  # fmt: skip
OPEN = replace(STAFF, id="shelf/water.md~bb", document="shelf/water.md",
               readers=("patient", "physician"))  # fmt: skip
DOCUMENTS = "/v1/knowledge/documents"
PROPOSALS = "/v1/knowledge/proposals"


@pytest.fixture(scope="module")
def index() -> KnowledgeIndex:
    """Two cards and two documents."""
    some = {name: cards()[name] for name in ("acne", "chest-pain")}
    return KnowledgeIndex.build(HashedTokens(), some, [STAFF, OPEN])


@pytest.fixture(autouse=True)
def _served(api: Api, index: KnowledgeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.services.knowledge, "index", index)


def get(api: Api, path: str, role: Role = Role.PHYSICIAN, /, **asked: str) -> httpx.Response:
    return api.client.get(path, params=asked or None, headers=api.headers(role))  # type: ignore[return-value]


def listed(api: Api, role: Role = Role.PHYSICIAN, /, **asked: str) -> list[str]:
    answer = get(api, DOCUMENTS, role, **asked)
    assert answer.status_code == 200, answer.text
    return [document["id"] for document in answer.json()["documents"]]


def test_documents_are_listed_filtered_and_paged(api: Api) -> None:
    everything = ["acne", "chest-pain", "shelf/leeches.xml#k 1", "shelf/water.md"]
    assert listed(api) == everything
    assert listed(api, kind="card", q="chest") == ["chest-pain"]
    assert listed(api, department="dermatology") == ["acne"]
    first = get(api, DOCUMENTS, limit="3").json()
    assert first["documents"][1]["title"] == cards()["chest-pain"].head.title
    assert first["version"] == api.services.knowledge.index.version
    assert listed(api, limit="3", cursor=first["next_cursor"]) == everything[3:]


def test_a_card_is_read_in_order_with_its_review(api: Api) -> None:
    found = get(api, f"{DOCUMENTS}/chest-pain", language="en").json()
    bullets = [p for p in cards()["chest-pain"].passages if p.language == "en"]
    assert [(p["id"], p["text"]) for p in found["content"]] == [(b.id, b.text) for b in bullets]
    assert found["passages"] == len(bullets)
    assert found["content"][0]["path"] == ["When to worry"]
    assert found["content"][0]["sources"][0]["organisation"]
    head = cards()["chest-pain"].head
    assert found["card"] == {
        "version": head.version, "checked": head.checked, "reviewed_by": head.reviewed_by,
    }  # fmt: skip


def test_a_document_of_the_library_is_read_by_its_id(api: Api) -> None:
    found = get(api, f"{DOCUMENTS}/shelf/leeches.xml%23k%201").json()
    assert (found["id"], found["card"]) == (STAFF.document, None)
    (passage,) = found["content"]
    assert (passage["path"], passage["page"], passage["start"]) == (["Care", "Water"], 3, 7)


def test_patients_programmes_see_what_patients_may_see(api: Api) -> None:
    app = Role.PATIENT_APP
    assert listed(api, app) == ["acne", "chest-pain", "shelf/water.md"]
    assert get(api, f"{DOCUMENTS}/shelf/leeches.xml%23k%201", app).status_code == 404
    card = get(api, f"{DOCUMENTS}/chest-pain", app).json()
    assert {p["section"] for p in card["content"]} == FOR_PATIENTS
    for query in ("?q=leeches+cool", "?q=leeches+cool&audience=physician"):
        hits = get(api, f"/v1/knowledge/search{query}", app).json()["hits"]
        assert hits[0]["id"] == OPEN.id
        assert {hit["section"] for hit in hits[1:]} <= FOR_PATIENTS
    whole = get(api, "/v1/knowledge/cards/chest-pain", app).json()
    assert {s["section"] for s in whole["sections"]} == FOR_PATIENTS


def test_the_versions_say_which_one_serves(api: Api) -> None:
    found = get(api, "/v1/knowledge/versions").json()
    assert found == {"served": api.services.knowledge.index.version, "versions": []}


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        (DOCUMENTS, {"kind": "book"}, 422),
        (DOCUMENTS, {"department": "magic"}, 422),
        (DOCUMENTS, {"q": "x" * 201}, 422),
        (DOCUMENTS, {"limit": "0"}, 422),
        (DOCUMENTS, {"cursor": "nonsense"}, 422),
        (DOCUMENTS, {"cursor": "W10="}, 422),
        (f"{DOCUMENTS}/no-such", {}, 404),
        (f"{DOCUMENTS}/../../etc/passwd", {}, 404),
        (f"{DOCUMENTS}/chest-pain", {"language": "fr"}, 422),
        (PROPOSALS, {"state": "maybe"}, 422),
        (PROPOSALS, {"cursor": "e30="}, 422),
        (PROPOSALS, {"cursor": "WyJcdTAwMDAiXQ=="}, 422),
        (PROPOSALS, {"limit": "101"}, 422),
    ],
)
def test_bad_questions_get_one_clear_problem(
    api: Api, path: str, asked: dict[str, str], status: int
) -> None:
    answer = get(api, path, **asked)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == {404: "not_found", 422: "invalid_input"}[status]


def post(api: Api, path: str, body: object, role: Role = Role.PHYSICIAN) -> httpx.Response:
    return api.client.post(path, json=body, headers=api.headers(role))  # type: ignore[return-value]


def feedback_path(api: Api) -> str:
    services = api.services
    answer = record_answer(services.db, policy=services.policy)
    assert answer.review_task_id is None
    return f"/v1/knowledge/answers/{answer.id}/feedback"


def test_a_complaint_is_recorded_once_and_reviewed(api: Api) -> None:
    path = feedback_path(api)
    body = {"verdict": "not_supported", "comment": "对不上", "passages": [QUOTED[1]]}
    first = post(api, path, body, Role.PATIENT_APP)
    assert first.status_code == 200, first.text
    assert (first.json()["review_state"], first.json()["passages"]) == ("open", [QUOTED[1]])
    assert post(api, path, body, Role.PATIENT_APP).json() == first.json()
    task = get(api, f"/v1/reviews/{first.json()['review_task_id']}").json()
    assert (task["kind"], task["task"]["reasons"]) == ("knowledge", ["complaint"])
    assert post(api, path, {"verdict": "helpful"}).json()["review_state"] == "open"
    decision = get(api, f"/v1/decisions/{first.json()['decision_id']}").json()
    assert (decision["kind"], decision["intact"]) == ("knowledge", True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"verdict": "bad"}, 422),
        ({"verdict": "wrong", "comment": "x" * 2001}, 422),
        ({"verdict": "wrong", "comment": "\x00"}, 422),
        ({"verdict": "wrong", "passages": [NOT_QUOTED]}, 422),
        ({"verdict": "wrong", "passages": ["x"] * 51}, 422),
        ({"verdict": "wrong", "stars": 5}, 422),
        ({"verdict": "helpful"}, 200),
    ],
)
def test_feedback_that_makes_no_sense_is_refused(api: Api, body: object, status: int) -> None:
    assert post(api, feedback_path(api), body).status_code == status


def test_feedback_is_on_answers_alone(api: Api) -> None:
    triage = post(api, "/v1/triage", {"text": "头痛三天"}).json()["decision_id"]
    for unknown in ("dec_none", triage):
        path = f"/v1/knowledge/answers/{unknown}/feedback"
        assert post(api, path, {"verdict": "wrong"}).status_code == 404


def proposal(**more: object) -> dict[str, Any]:
    body = {"passage": "acne#ask:1", "language": "zh", "text": "询问起病。", "why": "更短"}
    return body | more


def test_a_proposal_is_made_listed_and_decided_by_another(api: Api) -> None:
    source = {"organisation": "AAD", "title": "Acne", "year": 2024, "identifier": "doi:1"}
    made = post(api, PROPOSALS, proposal(source=source), Role.ADMINISTRATOR)
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["state"], found["source"], found["now"]) == ("open", source, found["before"])
    assert found["id"] in [p["id"] for p in get(api, PROPOSALS, state="open").json()["proposals"]]
    decide = f"{PROPOSALS}/{found['id']}/decide"
    assert post(api, decide, {"accept": True}, Role.ADMINISTRATOR).status_code == 403
    done = post(api, decide, {"accept": True, "comment": "好"})
    assert (done.status_code, done.json()["state"]) == (200, "accepted")
    again = post(api, decide, {"accept": False})
    assert (again.status_code, again.json()["code"]) == (409, "illegal_move")
    accepted = get(api, PROPOSALS, state="accepted", limit="1").json()
    assert accepted["proposals"][0]["comment"] == "好"


def test_nobody_decides_on_a_proposal_of_their_own(api: Api) -> None:
    made = post(api, PROPOSALS, proposal(text="问皮损。")).json()
    own = post(api, f"{PROPOSALS}/{made['id']}/decide", {"accept": True})
    assert own.status_code == 403
    other = users.create(api.services.db, name="Dr Chen", role=Role.PHYSICIAN).api_key
    declined = api.client.post(
        f"{PROPOSALS}/{made['id']}/decide",
        json={"accept": False},
        headers={"Authorization": f"Bearer {other}"},
    )
    assert declined.json()["state"] == "declined"


@pytest.mark.parametrize(
    "wrong",
    [
        {"passage": "acne#ask:99"},
        {"passage": STAFF.id},
        {"language": "fr"},
        {"text": ""},
        {"text": "x" * 1001},
        {"text": "每日2片"},
        {"why": ""},
        {"why": "x" * 2001},
        {"source": {"organisation": "AAD"}},
        {"source": {"organisation": "A", "title": "t", "year": 1, "identifier": "i"}},
        {"extra": 1},
    ],
)
def test_a_proposal_that_makes_no_sense_is_refused(api: Api, wrong: dict[str, object]) -> None:
    answer = post(api, PROPOSALS, proposal(**wrong))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_proposals_are_for_staff_and_decisions_for_physicians(api: Api) -> None:
    app = Role.PATIENT_APP
    assert get(api, PROPOSALS, app).status_code == 403
    assert post(api, PROPOSALS, proposal(), app).status_code == 403
    unknown = f"{PROPOSALS}/prp_none/decide"
    assert post(api, unknown, {"accept": True}).status_code == 404
    assert post(api, unknown, {}).status_code == 422
    device = users.create(api.services.db, name="CT", role=Role.IMAGING_DEVICE).api_key
    for path in (DOCUMENTS, f"{DOCUMENTS}/acne", "/v1/knowledge/versions"):
        answer = api.client.get(path, headers={"Authorization": f"Bearer {device}"})
        assert answer.status_code == 403
