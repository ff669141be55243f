"""Whatever is sent, the answer is one of the protocol's, and never a fault of ours."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.conftest import Api

_NAMES = {"ids": "INT64", "weights": "FP32", "pieces": "INT64"}
_NUMBERS = st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 9), max_size=4)
_INPUT = st.builds(
    lambda name, shape, data, size: {
        "name": name,
        "datatype": _NAMES[name],
        "shape": [1, len(data)] if shape is None else shape,
        **({"data": data} if size is None else {"parameters": {"binary_data_size": size}}),
    },
    st.sampled_from(sorted(_NAMES)),
    st.none() | st.lists(st.integers(-2, 2**40), max_size=3),
    _NUMBERS,
    st.none() | st.none() | st.integers(-8, 64),
)
_OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.just("logits")},
        optional={
            "parameters": st.dictionaries(
                st.sampled_from(["classification", "binary_data"]),
                st.integers(-1, 2**40) | st.booleans(),
            )
        },
    ),
    max_size=2,
)
_REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(_INPUT, min_size=2, max_size=4, unique_by=lambda one: one["name"])},
    optional={"outputs": _OUTPUTS, "id": st.text(max_size=5)},
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        ["Inference-Header-Content-Length", "X-Timeout-Ms", "X-Priority", "Content-Encoding"]
    ),
    st.sampled_from(["0", "1", "20", "-1", "gzip", "deflate", "identity", "bulk", "²", "9" * 40]),
    max_size=2,
)


@given(
    body=st.binary(max_size=60) | _REQUEST.map(lambda one: json.dumps(one).encode()),
    headers=_HEADERS,
)
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_request_has_an_answer_of_the_protocol(
    api: Api, body: bytes, headers: dict[str, Any]
) -> None:
    answer = api.client.post(
        "/v2/models/department/infer",
        content=body,
        headers=api.administrator | {name: value.encode() for name, value in headers.items()},
    )
    assert answer.status_code in (200, 400, 413, 415, 429, 503, 504)
    if answer.status_code == 503:
        assert answer.json() == {"error": "the network failed on this batch"}
    elif answer.status_code != 200:
        (sentence,) = answer.json().values()
        assert sentence
        assert "\n" not in sentence
