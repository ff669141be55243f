"""Ray Serve: one replica behind HAProxy, batches made in the replica.

Settings: the high-throughput mode of its documentation (HAProxy in front of the replica, and
RAY_SERVE_THROUGHPUT_OPTIMIZED); one thread for HAProxy, since its four fight the replica for two
cores; a wait of 5 ms, because shorter ones close batches half full and cost a third of
the throughput at sixteen callers and more, though a single caller would be served 5 ms sooner.
The model runs in a thread, so that the replica takes requests meanwhile; the limit of ongoing
requests is above what is asked; no dashboard, no access log.
"""

import os

os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = "1"
os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"
os.environ["RAY_SERVE_HAPROXY_NBTHREAD"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import asyncio

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response
from workloads import MAX_BATCH, Job, job, model_of


@serve.deployment(num_replicas=1, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class Model:
    def __init__(self, work: Job) -> None:
        self.model = model_of(work)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.005)
    async def batch(self, bodies: list[bytes]) -> list[bytes]:
        return await asyncio.to_thread(self.model.run, bodies)

    async def __call__(self, request: Request) -> Response:
        answer = await self.batch(await request.body())
        return Response(answer, media_type="application/json")


if __name__ == "__main__":
    work = job()
    # Of its own: another cluster on this machine is not ours to join.
    ray.init(address="local", include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": work.port})
    serve.run(
        Model.bind(work),
        route_prefix="/infer",
        blocking=True,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
