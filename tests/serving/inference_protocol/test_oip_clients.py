"""Triton's own clients against a real server: everything they ask is answered as they expect."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from models.repository import ModelRepository
from serving.storage.codes import Role
from serving.storage.tables import AuditEventRow
from tests.servers import ServerProcess

CAPACITY = 4
MOST_BYTES = 2_000_000
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Served:
    """A server, and what its administrator's clients say in every request."""

    server: ServerProcess
    key: str

    @property
    def address(self) -> str:
        return self.server.url.removeprefix("http://")

    @property
    def headers(self) -> dict[str, str]:
        """A new one each time: the client writes its own headers into it."""
        return {"Authorization": f"Bearer {self.key}"}

    def post(self, model: str, **request: Any) -> httpx.Response:
        headers = self.headers | request.pop("headers", {})
        return httpx.post(f"{self.server.url}/v2/models/{model}/infer", headers=headers, **request)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = ServerProcess(
        tmp_path_factory.mktemp("oip"),
        {
            "FENZHEN_ALLOW_NONCOMMERCIAL": "true",
            "FENZHEN_SYNTHETIC": "echo sleep:300+0n",
            "FENZHEN_TUNE": "false",
            "FENZHEN_MODEL_WORKERS": "1",
            "FENZHEN_QUEUE_CAPACITY": str(CAPACITY),
            "FENZHEN_QUEUE_RESERVED": "2",
            "FENZHEN_MAX_TENSOR_BYTES": str(MOST_BYTES),
            "FENZHEN_INFERENCE_TIMEOUT_S": str(TIMEOUT_S),
        },
    )
    key = server.add_user("Operator", Role.ADMINISTRATOR)
    try:
        server.start()
        yield Served(server, key)
        assert server.end() == 0
    finally:
        server.close()


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.address) as client:
        yield client


def tensor(name: str, array: Any, *, binary: bool = True) -> triton.InferInput:
    datatype = {"float32": "FP32", "int64": "INT64"}[str(array.dtype)]
    one = triton.InferInput(name, list(array.shape), datatype)
    return one.set_data_from_numpy(array, binary_data=binary)


X = np.array([[1.5, -2, 3e-30], [4, 5, 6]], np.float32)


def test_the_server_and_its_models_describe_themselves(
    served: Served, client: triton.InferenceServerClient
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    about = client.get_server_metadata(headers=served.headers)
    assert about["name"] == "fenzhen"
    assert {"binary_tensor_data", "classification", "statistics"} <= set(about["extensions"])
    assert client.is_model_ready("echo", headers=served.headers)
    assert client.is_model_ready("echo", "1", headers=served.headers)
    assert not client.is_model_ready("echo", "2", headers=served.headers)
    assert not client.is_model_ready("nothing", headers=served.headers)
    described = client.get_model_metadata("department", headers=served.headers)
    assert described["platform"] == "onnxruntime_onnx"
    assert {"name": "ids", "datatype": "INT64", "shape": [-1, -1]} in described["inputs"]
    assert described["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 57]}]
    (version,) = described["versions"]
    assert client.get_model_metadata("department", version, headers=served.headers) == described
    config = client.get_model_config("cxr_pneumonia", headers=served.headers)
    assert config["max_batch_size"] == 16
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [1, 128, 128]}]


def test_the_repository_lists_reloads_and_unloads_nothing(
    served: Served, client: triton.InferenceServerClient
) -> None:
    index = client.get_model_repository_index(headers=served.headers)
    assert {"name": "echo", "version": "1", "state": "READY", "reason": ""} in index
    client.load_model("cxr_pneumonia", headers=served.headers)
    db = served.server.database()
    try:
        with db.read() as session:
            actions = [row.action for row in session.query(AuditEventRow)]
    finally:
        db.close()
    assert "model.reloaded" in actions
    for call, sentence in (
        (lambda: client.load_model("nothing", headers=served.headers), "no such model"),
        (lambda: client.unload_model("echo", headers=served.headers), "no model is unloaded"),
        (lambda: client.load_model("echo", headers=served.headers, config="{}"), "no parameters"),
    ):
        with pytest.raises(InferenceServerException, match=sentence):
            call()


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tensors_go_and_come_as_json_and_as_binary_data(
    served: Served,
    client: triton.InferenceServerClient,
    binary_in: bool,
    binary_out: bool | None,
    compression: str | None,
) -> None:
    wanted = None if binary_out is None else [triton.InferRequestedOutput("y", binary_out)]
    result = client.infer(
        "echo",
        [tensor("x", X, binary=binary_in)],
        outputs=wanted,
        request_id="a request",
        headers=served.headers,
        request_compression_algorithm=compression,
    )
    assert np.array_equal(result.as_numpy("y"), X)
    response = result.get_response()
    assert response["id"] == "a request"
    assert (response["model_name"], response["model_version"]) == ("echo", "1")


def test_the_client_that_runs_requests_side_by_side_gets_its_own_answers(served: Served) -> None:
    with triton.InferenceServerClient(served.address, concurrency=8) as client:
        asked = [
            client.async_infer("echo", [tensor("x", X + i)], headers=served.headers)
            for i in range(CAPACITY // 2)
        ]
        for i, one in enumerate(asked):
            assert np.array_equal(one.get_result().as_numpy("y"), X + i)

    async def run() -> None:
        client = triton_aio.InferenceServerClient(served.address)
        try:
            assert await client.is_server_ready()
            answers = await asyncio.gather(
                *(
                    client.infer(
                        "echo", [tensor("x", X + i, binary=i == 0)], headers=served.headers
                    )
                    for i in range(CAPACITY // 2)
                )
            )
            for i, one in enumerate(answers):
                assert np.array_equal(one.as_numpy("y"), X + i)
        finally:
            await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("model", ["department", "cxr_pneumonia"])
def test_a_real_model_answers_what_onnx_runtime_answers(
    served: Served, client: triton.InferenceServerClient, model: str
) -> None:
    entry = ModelRepository(allow_noncommercial=True).get(model)
    rng = np.random.default_rng(0)
    rows = 3
    given = {
        spec.name: (
            rng.integers(1, 50, [rows, *(7 if n < 0 else n for n in spec.shape[1:])])
            if spec.dtype == "int64"
            else rng.random([rows, *(7 if n < 0 else n for n in spec.shape[1:])], np.float32)
        )
        for spec in entry.manifest.inputs
    }
    session = ort.InferenceSession(str(entry.network), providers=["CPUExecutionProvider"])
    expected = dict(
        zip([one.name for one in session.get_outputs()], session.run(None, given), strict=True)
    )
    inputs = [tensor(name, array) for name, array in given.items()]
    result = client.infer(model, inputs, headers=served.headers)
    for name, array in expected.items():
        assert np.allclose(result.as_numpy(name), array, atol=1e-5), name
    classes = client.infer(
        model,
        inputs,
        outputs=[triton.InferRequestedOutput("logits", class_count=2)],
        headers=served.headers,
    ).as_numpy("logits")
    labels = [label.code for label in entry.manifest.labels]
    for row, texts in zip(expected["logits"], classes, strict=True):
        best = np.argsort(-row)[:2].tolist()
        named = [text.decode().split(":")[1:] for text in texts]
        assert named == [[str(index), labels[index]] for index in best]


def test_what_was_asked_is_counted(served: Served, client: triton.InferenceServerClient) -> None:
    def now() -> dict[str, Any]:
        (one,) = client.get_inference_statistics("echo", headers=served.headers)["model_stats"]
        return dict(one)

    before = now()
    client.infer("echo", [tensor("x", X)], headers=served.headers)
    after = now()
    assert after["inference_count"] - before["inference_count"] == len(X)
    assert after["execution_count"] - before["execution_count"] == 1
    queue = after["inference_stats"]["queue"]
    assert queue["count"] - before["inference_stats"]["queue"]["count"] == 1
    assert queue["ns"] >= before["inference_stats"]["queue"]["ns"]
    every = client.get_inference_statistics(headers=served.headers)["model_stats"]
    assert {"echo", "sleep", "department"} <= {one["name"] for one in every}


def test_an_answer_says_how_long_it_took(served: Served) -> None:
    answer = served.post("sleep", content=_json(X))
    timing = dict(
        part.strip().split(";dur=") for part in answer.headers["server-timing"].split(",")
    )
    assert set(timing) == {"queue", "inference", "total"}
    assert 300 <= float(timing["inference"]) <= float(timing["total"])


def test_a_body_of_bytes_alone_is_answered_with_bytes(served: Served) -> None:
    answer = served.post(
        "echo", content=X[0].tobytes(), headers={"Inference-Header-Content-Length": "0"}
    )
    head = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content[head:] == X[0].tobytes()


def _json(array: Any, **parameters: int) -> bytes:
    one = {"name": "x", "shape": list(array.shape), "datatype": "FP32", "data": array.tolist()}
    return json.dumps({"inputs": [one], "parameters": parameters}).encode()


def test_where_others_are_refused_an_emergency_is_answered(served: Served) -> None:
    async def run() -> tuple[list[httpx.Response], list[httpx.Response]]:
        async with httpx.AsyncClient(headers=served.headers, timeout=30) as many:
            url = f"{served.server.url}/v2/models/sleep/infer"
            bulk = [
                many.post(url, content=_json(X, priority=1), headers={"X-Priority": "bulk"})
                for _ in range(4 * CAPACITY)
            ]
            urgent = [
                many.post(url, content=_json(X), headers={"X-Priority": "emergency"}),
                many.post(url, content=_json(X, priority=1)),
            ]
            answers = await asyncio.gather(*bulk, *urgent)
            return answers[: len(bulk)], answers[len(bulk) :]

    bulk, urgent = asyncio.run(run())
    assert {one.status_code for one in bulk} == {200, 429}, "the header goes before the parameter"
    assert [one.status_code for one in urgent] == [200, 200]
    refused = next(one for one in bulk if one.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json() == {"error": "the model's queue is full"}


def test_what_is_late_or_too_large_is_said_clearly(
    served: Served, client: triton.InferenceServerClient
) -> None:
    with pytest.raises(InferenceServerException) as late:
        client.infer("sleep", [tensor("x", X)], timeout=20_000, headers=served.headers)
    assert late.value.status() == "504"
    # The first one still runs: whether to wait at all is known at the door.
    patient = _json(X, timeout=4_000_000)
    late_too = served.post("sleep", content=patient, headers={"X-Timeout-Ms": "20"})
    assert late_too.status_code in (429, 504)

    large = served.post("echo", content=b"0" * (MOST_BYTES + 1))
    assert (large.status_code, large.json()) == (413, {"error": f"at most {MOST_BYTES} bytes"})
    packed_small = gzip.compress(b"0" * (MOST_BYTES + 1))
    assert len(packed_small) < MOST_BYTES / 100
    bomb = served.post("echo", content=packed_small, headers={"Content-Encoding": "gzip"})
    assert (bomb.status_code, list(bomb.json())) == (413, ["error"])
    rows = np.zeros((16 * CAPACITY, 1), np.float32)
    many = served.post("echo", content=_json(rows))
    assert many.status_code == 413
    assert "rows in one request" in many.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"X-Priority": "urgent"}, 400, "emergency, interactive or bulk"),
        ({"X-Timeout-Ms": "0"}, 400, "whole number"),
        ({"X-Timeout-Ms": "1e9"}, 400, "whole number"),
        ({"X-Timeout-Ms": "99999999999"}, 400, "whole number"),
        ({"Inference-Header-Content-Length": "-1"}, 400, "whole number"),
        ({"Inference-Header-Content-Length": "999999"}, 400, "larger than the body"),
        ({"Content-Encoding": "br"}, 415, "gzip or deflate"),
        ({"Content-Encoding": "gzip"}, 400, "damaged"),
    ],
)
def test_headers_that_make_no_sense_are_refused(
    served: Served, headers: dict[str, str], status: int, sentence: str
) -> None:
    answer = served.post("echo", content=_json(X), headers=headers)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_a_network_that_fails_is_an_error_of_its_own(served: Served) -> None:
    beyond = {"inputs": [{"name": "ids", "datatype": "INT64", "shape": [1, 1], "data": [2**60]}]}
    answer = served.post("urgency", json=beyond)
    assert answer.status_code == 503
    assert answer.json() == {"error": "the network failed on this batch"}


def test_the_request_of_a_caller_who_goes_away_is_never_run(served: Served) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(headers=served.headers, timeout=30) as many:
            url = f"{served.server.url}/v2/models/sleep/infer"
            dropped = 'fenzhen_engine_rejected_total{model="sleep@1",reason="cancelled"}'
            before = await _metric(many, served, dropped)
            async with asyncio.timeout(30):
                # What runs already is not stopped: the first of the first round, at least.
                while await _metric(many, served, dropped) == before:
                    asked = [asyncio.create_task(many.post(url, content=_json(X))) for _ in "123"]
                    await _metric(many, served, dropped)
                    for task in asked:
                        task.cancel()
                    await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(run())


async def _metric(client: httpx.AsyncClient, served: Served, name: str) -> float:
    text = (await client.get(f"{served.server.url}/metrics")).text
    lines = (line.rpartition(" ") for line in text.splitlines())
    return next((float(value) for found, _, value in lines if found == name), 0.0)
