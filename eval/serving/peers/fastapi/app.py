"""FastAPI as people serve a model with it: no batching, one model, one request at a time.

Settings: uvicorn with uvloop and httptools, no access log, one process (a second would be a second
model). The model runs in Starlette's thread pool behind a lock, so that the loop goes on taking
requests meanwhile; a pool of 64 lets every caller of the largest run wait at the lock
instead of in the pool's own queue. Echo needs no thread: it would only cost. Bytes are read and
written by orjson: no pydantic model, no `jsonable_encoder`.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from workloads import job, model_of

work = job()
model = model_of(work)
one_at_a_time = threading.Lock()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = 64
    yield


app = FastAPI(lifespan=lifespan)


def predict(body: bytes) -> bytes:
    with one_at_a_time:
        return model.run([body])[0]


@app.post("/infer")
async def infer(request: Request) -> Response:
    body = await request.body()
    if work.workload == "echo":
        answer = model.run([body])[0]
    else:
        answer = await run_in_threadpool(predict, body)
    return Response(answer, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=work.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
