"""/v1/batches: many rows in, ordered results out, each row recorded once; hostile files refused."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterable
from typing import Any

import pytest

from serving import decisions
from serving.batches.inputs import NAME_FILE
from serving.storage.codes import DecisionKind
from tests.serving.api.test_imaging import png
from tests.serving.conftest import Api

LINES, ZIP = "application/x-ndjson", "application/zip"
DEADLINE_S = 120.0


def jsonl(rows: Iterable[dict[str, Any] | str]) -> bytes:
    """One JSON object a line; a str goes in as it is."""
    return "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows).encode()


def zipped(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def send(api: Api, data: bytes, task: str, kind: str = LINES, **headers: str) -> Any:
    return api.client.post(
        f"/v1/batches?task={task}",
        content=data,
        headers={**api.administrator, "Content-Type": kind, **headers},
    )


def status(api: Api, batch: str) -> dict[str, Any]:
    answer: dict[str, Any] = api.client.get(
        f"/v1/batches/{batch}", headers=api.administrator
    ).json()
    return answer


def finished(api: Api, batch: str) -> dict[str, Any]:
    """The batch's status once it has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while (now := status(api, batch))["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
    return now


def results(api: Api, batch: str, after: int = 0) -> tuple[list[dict[str, Any]], Any]:
    answer = api.client.get(f"/v1/batches/{batch}/results?after={after}", headers=api.administrator)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()], answer.headers


def files_left(api: Api) -> list[str]:
    folder = api.services.settings.var / "batches"
    return [path.name for path in folder.iterdir() if path.name != NAME_FILE]


def test_triage_rows_come_back_in_order_and_each_is_a_recorded_decision(api: Api) -> None:
    rows = [{"text": f"头痛{n}天，没有发热", "age_years": 20 + n} for n in range(1, 13)]
    accepted = send(api, jsonl(rows), "triage")
    assert accepted.status_code == 202
    assert accepted.json()["rows"] == 12
    batch = accepted.json()["batch_id"]
    assert accepted.headers["location"] == f"/v1/batches/{batch}"
    ended = finished(api, batch)
    assert (ended["status"], ended["done"], ended["failed"]) == ("done", 12, 0)
    lines, headers = results(api, batch)
    assert headers["batch-complete"] == "true"
    assert [line["row"] for line in lines] == list(range(1, 13))
    for line, row in zip(lines, rows, strict=True):
        record = decisions.get(api.services.db, line["decision_id"])
        assert record.kind is DecisionKind.TRIAGE
        assert record.input["text"] == row["text"]
        assert line["result"]["disposition"]["level"] == record.disposition
        assert line["status"] == "preliminary"
    assert files_left(api) == [], "the patients' words do not stay once they are answered"


def test_a_batch_answers_what_the_single_request_answers(api: Api) -> None:
    row = {"text": "胸口压榨样疼痛半小时，出冷汗", "age_years": 61, "sex": "male"}
    single = api.client.post("/v1/triage", json=row, headers=api.administrator).json()["result"]
    batch = send(api, jsonl([row]), "triage").json()["batch_id"]
    finished(api, batch)
    lines, _ = results(api, batch)
    assert lines[0]["result"] == single
    assert lines[0]["review_task_id"], "an emergency is read by a physician"


def test_a_bad_row_has_its_problem_and_the_others_their_answers(api: Api) -> None:
    deep = '{"text":"头痛","vitals":' + "[" * 100_000 + "]" * 100_000 + "}"
    rows: list[dict[str, Any] | str] = [
        {"text": "咳嗽三天"},
        "{not json",
        {"text": "咳嗽三天", "age_years": 300},
        {"text": "x" * 9_000},
        deep,
        '{"text": "' + "长" * 400_000 + '"}',
        '{"text": "\\ud800"}',
        "[1, 2]",
        "null",
        {"text": "头痛", "unknown_field": "秘密"},
        "",
        {"text": "fever for two days"},
    ]
    batch = send(api, jsonl(rows), "triage").json()["batch_id"]
    ended = finished(api, batch)
    assert (ended["rows"], ended["done"], ended["failed"]) == (11, 2, 9)
    lines, _ = results(api, batch)
    codes = {line["row"]: line.get("problem", {}).get("code") for line in lines}
    assert codes == {
        1: None, 2: "invalid_input", 3: "invalid_input", 4: "payload_too_large",
        5: "invalid_input", 6: "payload_too_large", 7: "invalid_input", 8: "invalid_input",
        9: "invalid_input", 10: "invalid_input", 11: None,
    }  # fmt: skip
    assert lines[2]["problem"]["errors"][0]["pointer"] == "/age_years"
    assert "秘密" not in json.dumps(lines[9], ensure_ascii=False)


def test_acuity_rows_are_assessed(api: Api) -> None:
    rows = [{"text": "chest pain", "vitals": {"heart_rate": 130}, "scale": "esi"}, {"text": ""}]
    batch = send(api, jsonl(rows), "acuity").json()["batch_id"]
    finished(api, batch)
    lines, _ = results(api, batch)
    assert lines[0]["result"]["acuity"]["scale"] == "esi"
    assert lines[1]["problem"]["code"] == "invalid_input"


def test_a_zip_of_json_lines_is_read_file_after_file(api: Api) -> None:
    data = zipped({"b.jsonl": jsonl([{"text": "咳嗽"}]), "a.jsonl": jsonl([{"text": "头痛"}] * 2)})
    batch = send(api, data, "triage", ZIP).json()["batch_id"]
    assert finished(api, batch)["done"] == 3
    lines, _ = results(api, batch)
    assert [line["file"] for line in lines] == ["b.jsonl", "a.jsonl", "a.jsonl"]


def test_each_image_of_a_zip_is_a_study_in_the_review_queue(api: Api) -> None:
    table = (
        "file,age_years,sex,site,label\na.png,3,female,chest,pneumonia\nb.png,40,,,normal\n"
        "d.png,-1,,,x\n"
    )
    data = zipped(
        {
            "images/a.png": png(), "images/b.png": png(230, 230), "images/c.png": png(240, 230),
            "images/d.png": png(), "images/e.png": b"no picture", "images/": b"",
            "__MACOSX/a.png": b"", "patients.csv": table.encode(),
        }
    )  # fmt: skip
    batch = send(api, data, "cxr_pneumonia", ZIP).json()["batch_id"]
    ended = finished(api, batch)
    assert (ended["rows"], ended["done"], ended["failed"]) == (5, 3, 2)
    lines, _ = results(api, batch)
    assert [line["file"] for line in lines] == [f"images/{n}.png" for n in "abcde"]
    said = [decisions.get(api.services.db, line["decision_id"]).input for line in lines[:3]]
    assert [one["age_years"] for one in said] == [3, 40, None]
    assert [one["sex"] for one in said] == ["female", None, None]
    assert [one["site"] for one in said] == ["chest", None, None]
    assert lines[0]["results"][0]["sex"] == "female"
    assert "age_outside_population" in lines[1]["results"][0]["abstained"]
    assert "age_unknown" in lines[2]["results"][0]["abstained"]
    assert all(line["review_task_id"] for line in lines[:3])
    assert lines[3]["problem"]["errors"][0]["pointer"] == "/age_years"
    assert lines[4]["problem"]["code"] == "unsupported_media"
    study = api.client.get(f"/v1/imaging/studies/{lines[0]['decision_id']}", headers=api.physician)
    assert study.json()["results"] == lines[0]["results"]


def test_results_so_far_have_no_hole_and_go_on_where_one_left_off(api: Api) -> None:
    batch = send(api, jsonl([{"text": f"头痛{n}"} for n in range(40)]), "triage").json()["batch_id"]
    got: list[dict[str, Any]] = []
    deadline = time.monotonic() + DEADLINE_S
    complete = False
    while not complete:
        assert time.monotonic() < deadline
        lines, headers = results(api, batch, after=len(got))
        complete = headers["batch-complete"] == "true"
        got += lines
    assert [line["row"] for line in got] == list(range(1, 41))


def test_a_cancelled_batch_records_no_further_row(api: Api) -> None:
    rows = jsonl([{"text": f"头痛{n}天"} for n in range(400)])
    batch = send(api, rows, "triage").json()["batch_id"]
    cancelled = api.client.post(f"/v1/batches/{batch}/cancel", headers=api.administrator).json()
    assert (cancelled["status"], cancelled["stop_reason"]) == ("cancelled", "requested")
    assert cancelled["done"] < 400
    other = send(api, jsonl([{"text": "咳嗽"}] * 20), "triage").json()["batch_id"]
    finished(api, other)
    after = status(api, batch)
    assert after["done"] == cancelled["done"]
    lines, headers = results(api, batch)
    assert len(lines) == cancelled["done"]
    assert (headers["batch-complete"], headers["batch-status"]) == ("false", "cancelled")
    again = api.client.post(f"/v1/batches/{batch}/cancel", headers=api.administrator)
    assert again.status_code == 200
    assert files_left(api) == []


def test_a_finished_batch_cannot_be_cancelled(api: Api) -> None:
    batch = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    finished(api, batch)
    answer = api.client.post(f"/v1/batches/{batch}/cancel", headers=api.administrator)
    assert answer.json()["code"] == "illegal_move"


def test_a_deleted_batch_is_gone_and_its_decisions_stay(api: Api) -> None:
    batch = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    finished(api, batch)
    decision = results(api, batch)[0][0]["decision_id"]
    url = f"/v1/batches/{batch}"
    assert api.client.delete(url, headers=api.administrator).status_code == 204
    assert api.client.get(url, headers=api.administrator).json()["code"] == "not_found"
    assert api.client.delete(url, headers=api.administrator).status_code == 404
    assert decisions.get(api.services.db, decision).id == decision


def test_a_batch_deleted_while_it_runs_ends(api: Api) -> None:
    batch = send(api, jsonl([{"text": "头痛"}] * 300), "triage").json()["batch_id"]
    assert api.client.delete(f"/v1/batches/{batch}", headers=api.administrator).status_code == 204
    other = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    assert finished(api, other)["status"] == "done"
    assert files_left(api) == []


def test_a_short_batch_does_not_wait_for_a_long_one(api: Api) -> None:
    long = send(api, jsonl([{"text": f"头痛{n}"} for n in range(300)]), "triage").json()
    short = send(api, jsonl([{"text": "咳嗽"}] * 5), "triage").json()["batch_id"]
    finished(api, short)
    assert status(api, long["batch_id"])["done"] < 150
    api.client.post(f"/v1/batches/{long['batch_id']}/cancel", headers=api.administrator)


def test_the_list_has_the_newest_first(api: Api) -> None:
    first = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    finished(api, first)
    second = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    finished(api, second)
    listed = api.client.get("/v1/batches", headers=api.administrator).json()["batches"]
    assert [one["batch_id"] for one in listed[:2]] == [second, first]


def test_the_same_key_and_file_start_one_batch(api: Api) -> None:
    data = jsonl([{"text": "咳嗽"}])
    first = send(api, data, "triage", **{"Idempotency-Key": "once"}).json()["batch_id"]
    assert send(api, data, "triage", **{"Idempotency-Key": "once"}).json()["batch_id"] == first
    other = send(api, data + b"\n{}", "triage", **{"Idempotency-Key": "once"})
    assert other.json()["code"] == "idempotency_conflict"
    finished(api, first)


@pytest.mark.parametrize("method", ["POST /v1/batches?task=triage", "GET /v1/batches"])
@pytest.mark.parametrize("who", ["physician", "app_user"])
def test_only_who_may_send_batches_can(api: Api, method: str, who: str) -> None:
    verb, path = method.split()
    answer = api.client.request(verb, path, headers=getattr(api, who))
    assert answer.json()["code"] == "forbidden"


BOMB = zipped({"bomb.png": b"\0" * 5_000_000})
PICTURE = {"a.png": b"x"}


@pytest.mark.parametrize(
    ("data", "task", "kind", "code"),
    [
        (b"", "triage", LINES, "invalid_input"),
        (b"\n \n", "triage", LINES, "invalid_input"),
        (b"", "cxr_pneumonia", ZIP, "unsupported_media"),
        (b"{}", "brain_tumour", LINES, "not_found"),
        (b"{}", "triage", "text/csv", "unsupported_media"),
        (b"{}", "triage", ZIP, "unsupported_media"),
        (zipped(PICTURE), "triage", LINES, "unsupported_media"),
        (zipped(PICTURE), "triage", ZIP, "invalid_input"),
        (b"{}", "cxr_pneumonia", LINES, "unsupported_media"),
        (zipped({}), "cxr_pneumonia", ZIP, "invalid_input"),
        (BOMB, "cxr_pneumonia", ZIP, "payload_too_large"),
        (zipped({"../../a.png": b"x"}), "cxr_pneumonia", ZIP, "invalid_input"),
        (zipped({"/etc/a.png": b"x"}), "cxr_pneumonia", ZIP, "invalid_input"),
        (zipped({"a.png": b"x", "A.PNG": b"y"}), "cxr_pneumonia", ZIP, "invalid_input"),
        (zipped(PICTURE, comment=b"hello"), "cxr_pneumonia", ZIP, "unsupported_media"),
        (zipped(PICTURE, zipfile.ZIP_LZMA), "cxr_pneumonia", ZIP, "invalid_input"),
        (zipped(PICTURE)[:-30], "cxr_pneumonia", ZIP, "unsupported_media"),
        (zipped({**PICTURE, "labels.csv": b"name\na"}), "cxr_pneumonia", ZIP, "invalid_input"),
        (zipped({**PICTURE, "labels.csv": b"file\nz"}), "cxr_pneumonia", ZIP, "invalid_input"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_batch_is_refused_and_leaves_nothing(
    api: Api, data: bytes, task: str, kind: str, code: str
) -> None:
    before = api.client.get("/v1/audit/verify", headers=api.administrator).json()["events"]
    answer = send(api, data, task, kind)
    assert answer.json()["code"] == code, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    after = api.client.get("/v1/audit/verify", headers=api.administrator).json()["events"]
    assert after == before
    assert files_left(api) == []


def test_the_results_of_a_batch_and_its_end_are_in_the_audit_trail(api: Api) -> None:
    batch = send(api, jsonl([{"text": "咳嗽"}]), "triage").json()["batch_id"]
    finished(api, batch)
    results(api, batch)
    events = api.client.get(f"/v1/audit/events?subject={batch}", headers=api.administrator)
    actions = [event["action"] for event in events.json()]
    assert actions == ["batch.results_viewed", "batch.finished", "batch.accepted"]
    assert api.client.get("/v1/audit/verify", headers=api.administrator).json()["ok"]


def test_metrics_count_rows_and_hold_no_patient_text(api: Api) -> None:
    batch = send(api, jsonl([{"text": "秘密的头痛"}]), "triage").json()["batch_id"]
    finished(api, batch)
    text = api.client.get("/metrics").text
    assert 'fenzhen_batch_rows_total{outcome="done",task="triage"}' in text
    assert 'priority="bulk"' in text, "rows of batches wait behind everybody else"
    assert "秘密" not in text
