"""POST /v2/models/{model}/infer: the shortest way from bytes to the engine and back.

Plain ASGI: nothing of FastAPI, no model building, no thread and no database stand between a
request and the engine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from models.errors import ModelRunError
from serving.api.connection import while_connected
from serving.api.timing import server_timing
from serving.credentials import Credentials
from serving.engine.inference import Priority
from serving.errors import InvalidInput, ModelUnavailable
from serving.inference_protocol.body import read_body, unpacked
from serving.inference_protocol.description import hosted_entry
from serving.inference_protocol.request import InferRequest, read_request
from serving.inference_protocol.response import write_answer
from serving.inference_protocol.signature import Signatures
from serving.services import Services
from serving.users import Permission

_PRIORITIES: Mapping[bytes, Priority] = {one.name.encode(): one for one in Priority}
_MOST_DIGITS = 10


class Infer:
    """Inference: tensors as JSON or as binary data, one row or many; batched with everybody's."""

    permission = Permission.MODELS_INFER

    def __init__(self) -> None:
        self._signatures = Signatures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of the route."""
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state = scope["app"].state
        services: Services = state.services
        credentials: Credentials = state.credentials
        await credentials.admit(scope, headers, self.permission)
        body = await read_body(receive)
        if body is not None:
            await while_connected(
                receive, self._answer(scope, headers, services, body, send, started)
            )

    async def _answer(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        services: Services,
        body: bytes,
        send: Send,
        started: float,
    ) -> None:
        settings = services.settings
        if encoding := headers.get(b"content-encoding"):
            body = await unpacked(
                body, encoding.decode("latin-1").lower(), settings.max_tensor_bytes
            )
        # Held to the end: the version stays in the engine as long as anybody holds its set.
        hosted = services.hosted
        path = scope["path_params"]
        entry = hosted_entry(hosted, path["model"], path.get("version"))
        signature = self._signatures.of(entry)
        json_bytes = _number(headers, b"inference-header-content-length", least=0)
        request = read_request(body, json_bytes, signature, settings.max_body_bytes)
        try:
            done = await hosted.engine.infer(
                signature.identity,
                request.tensors,
                priority=_priority(headers, request),
                timeout_s=_timeout_s(headers, request, settings.inference_timeout_s),
            )
        except ModelRunError as error:
            raise ModelUnavailable("the network failed on this batch") from error
        answer = write_answer(request, signature, done.outputs)
        timing = server_timing(started, done.queue_s, done.inference_s)
        answered = [
            (b"content-length", b"%d" % len(answer.body)),
            (b"server-timing", timing.encode()),
        ]
        if answer.json_bytes is None:
            answered.append((b"content-type", b"application/json"))
        else:
            answered.append((b"content-type", b"application/octet-stream"))
            answered.append((b"inference-header-content-length", b"%d" % answer.json_bytes))
        await send({"type": "http.response.start", "status": 200, "headers": answered})
        await send({"type": "http.response.body", "body": answer.body})


def _priority(headers: Mapping[bytes, bytes], request: InferRequest) -> Priority:
    """The header's class before the request's own."""
    given = headers.get(b"x-priority")
    if given is None:
        return Priority.interactive if request.priority is None else request.priority
    if given not in _PRIORITIES:
        raise InvalidInput("X-Priority must be emergency, interactive or bulk")
    return _PRIORITIES[given]


def _timeout_s(headers: Mapping[bytes, bytes], request: InferRequest, most: float) -> float:
    """The header's deadline before the request's own, and never longer than the server's."""
    milliseconds = _number(headers, b"x-timeout-ms", least=1)
    wanted = request.timeout_s if milliseconds is None else milliseconds / 1e3
    return most if wanted is None else min(wanted, most)


def _number(headers: Mapping[bytes, bytes], name: bytes, *, least: int) -> int | None:
    """A header's whole number; None where it is missing."""
    given = headers.get(name)
    if given is None:
        return None
    if not given.isdigit() or len(given) > _MOST_DIGITS or int(given) < least:
        raise InvalidInput(f"{name.decode().title()} must be a whole number, at least {least}")
    return int(given)
