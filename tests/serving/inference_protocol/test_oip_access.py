"""The protocol's routes are closed without a key and the right role, and err in its words."""

from __future__ import annotations

import pytest

from serving.api import inference
from serving.storage.codes import Role
from serving.users import PERMISSIONS, Permission
from tests.serving.conftest import Api

ROUTES = [
    (method, route.path, getattr(route.endpoint, "permission", None))
    for route in inference.routes()
    for method in sorted(set(route.methods or ()) - {"HEAD"})
]
OPEN = {"/v2/health/live", "/v2/health/ready"}


def address(path: str) -> str:
    return path.replace("{model}", "department").replace("{version}", "2")


@pytest.mark.parametrize(("method", "path", "permission"), ROUTES)
def test_who_may_ask(api: Api, method: str, path: str, permission: Permission | None) -> None:
    answer = api.client.request(method, address(path))
    if path in OPEN:
        assert permission is None
        assert answer.status_code == 200
        return
    assert permission is not None
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    unknown = {"Authorization": "Bearer fz_" + "x" * 43}
    assert api.client.request(method, address(path), headers=unknown).status_code == 401
    for role in Role:
        if role in api.keys and permission not in PERMISSIONS[role]:
            answer = api.client.request(method, address(path), headers=api.headers(role))
            assert answer.status_code == 403
            assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/nothing", 404),
        ("GET", "/v2/models/department/versions/99", 404),
        ("GET", "/v2/models/department/versions/x", 404),
        ("GET", "/v2/models/nothing/stats", 404),
        ("POST", "/v2/models/nothing/infer", 404),
        ("POST", "/v2/models/department@2/infer", 404),
        ("GET", "/v2/models/department/infer", 405),
        ("POST", "/v2/repository/models/nothing/load", 404),
        ("POST", "/v2/repository/models/department/unload", 409),
        ("POST", "/v2/models/department/infer", 400),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_every_error_is_one_sentence_in_the_protocols_shape(
    api: Api, method: str, path: str, status: int, accept: str
) -> None:
    answer = api.client.request(
        method, path, headers=api.administrator | {"Accept": accept}, follow_redirects=False
    )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]


def test_errors_of_the_middleware_have_that_shape_too(api: Api) -> None:
    answer = api.client.post(
        "/v2/models/department/infer",
        headers=api.administrator | {"Content-Length": "99999999999"},
    )
    assert answer.status_code == 413
    assert list(answer.json()) == ["error"]


def test_metrics_name_the_routes(api: Api) -> None:
    api.client.post("/v2/models/department/infer", headers=api.administrator)
    text = api.client.get("/metrics").text
    route = 'route="/v2/models/{model}/infer"'
    assert f'fenzhen_http_requests_total{{method="POST",{route},status="400"}}' in text


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready": 1}', b"\xff"])
def test_a_question_to_the_repository_that_cannot_be_read_is_refused(api: Api, body: bytes) -> None:
    answer = api.client.post("/v2/repository/index", content=body, headers=api.physician)
    assert answer.status_code == 400


def test_the_index_says_which_models_are_kept_out_and_why(api: Api) -> None:
    every = api.client.post("/v2/repository/index", headers=api.physician).json()
    out = [one for one in every if one["state"] == "UNAVAILABLE"]
    assert out
    assert all(one["reason"] for one in out)
    ready = api.client.post(
        "/v2/repository/index", json={"ready": True}, headers=api.physician
    ).json()
    assert ready == [one for one in every if one["state"] == "READY"]


def test_a_session_of_the_console_may_read_and_without_its_token_not_ask(api: Api) -> None:
    key = api.keys[Role.ADMINISTRATOR]
    api.client.cookies.clear()
    signed = api.client.post("/console/signin", data={"key": key}, follow_redirects=False)
    try:
        assert signed.status_code == 303
        assert api.client.get("/v2/models/department").status_code == 200
        assert api.client.post("/v2/models/department/infer", content=b"{}").status_code == 403
    finally:
        api.client.cookies.clear()
