"""LitServe: FastAPI in front, the model in one worker process.

Settings: batches of up to 16; a wait of 1 ms, because 5 ms serves every rate worse and less
than 1 ms closes batches before they are full; 0 would poll without a pause and take a core from
the rest. One worker (another would be a second model) and one web process, uvloop and httptools,
no access log. The queue that LitServe uses by default: `fast_queue` (ZeroMQ) was no faster here.
Bytes pass as they came, and the answer is a Response, so that nothing is validated twice.
"""

from typing import Annotated

import litserve
from fastapi import Body, Response
from workloads import MAX_BATCH, job, model_of

work = job()


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = model_of(work)

    def decode_request(self, request: Annotated[bytes, Body(media_type="*/*")]) -> bytes:
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: list[bytes]) -> list[bytes]:
        return self.model.run(x)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        return output

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="application/json")


if __name__ == "__main__":
    api = Api(max_batch_size=MAX_BATCH, batch_timeout=0.001, api_path="/infer")
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1",
        port=work.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
    )
