"""mosec: a web layer in Rust, the model in one worker process.

Settings: batches of up to 16; 1 ms is the shortest wait that mosec knows (0 means its default of
10 ms), and serves all rates best: from sixteen callers on batches fill by themselves, and a single
caller waits no longer than he must. Echo goes through the batches too: at sixteen callers that is
nine times as fast as one by one. The body goes to the worker as it came.
"""

import os

from mosec import Server, Worker
from workloads import MAX_BATCH, job, model_of

work = job()


class Model(Worker):
    resp_mime_type = "application/json"

    def __init__(self) -> None:
        super().__init__()
        self.model = model_of(work)

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: list[bytes]) -> list[bytes]:
        return self.model.run(data)


if __name__ == "__main__":
    os.environ |= {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_PORT": str(work.port)}
    os.environ |= {"MOSEC_LOG_LEVEL": "warning", "MOSEC_TIMEOUT": "60000"}
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=MAX_BATCH, max_wait_time=1, route="/infer")
    server.run()
