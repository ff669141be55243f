"""BentoML: one service with adaptive batching.

Settings: one worker and one thread (others would be further models); batches of up to 16; the
latency limit as it is by default (60 s): with 200 ms or less the dispatcher refuses some of 64
callers with a 503, and serves the rest no sooner. Metrics and access log are off. Bodies pass as
raw bytes: its own JSON goes through a pydantic model for each request.
"""

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from _bentoml_sdk.io_models import IORootModel
from starlette.requests import Request
from starlette.responses import Response
from workloads import MAX_BATCH, job, model_of

work = job()


class Raw(IORootModel[list]):
    """One row: the bytes of a request, or of its answer."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: Any) -> "Raw":
        return cls.model_construct(root=[await request.body()])

    @classmethod
    async def to_http_response(cls, obj: list[bytes], _serde: Any) -> Response:
        return Response(obj[0], media_type="application/json")


@bentoml.service(
    workers=1,
    threads=1,
    traffic={"timeout": 60, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Model:
    def __init__(self) -> None:
        self.model = model_of(work)

    @bentoml.api(
        route="/infer",
        batchable=True,
        max_batch_size=MAX_BATCH,
        input_spec=Raw,
        output_spec=Raw,
    )
    def infer(self, bodies: list) -> list:
        return self.model.run(bodies)


if __name__ == "__main__":
    folder = str(Path(__file__).parent)
    command = ["-m", "bentoml", "serve", "app:Model", "--working-dir", folder]
    command += ["--host", "127.0.0.1", "--port", str(work.port)]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.execv(sys.executable, [sys.executable, *command])
