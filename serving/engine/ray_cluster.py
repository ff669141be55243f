"""The Ray cluster: joining it, putting models on it as Ray Serve deployments, and leaving.

With `ray_deployment` the only module that knows Ray. Everything here blocks and belongs in a
thread. Each model is an application of its own, so that one comes and goes without the others; Ray
Serve's HTTP proxies are not started. Nothing is sent to Ray's makers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

# Read when ray is imported: nothing is told to its makers, and what outlives `close` in Ray's own
# threads does not join the cluster again by itself, or start one.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}

import ray
from ray import serve
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectLostError,
    RayError,
    RayTaskError,
)
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from models.backends import Tensors
from models.errors import ModelRunError, ModelUnavailable
from models.repository import ModelEntry
from serving.engine.inference import Priority
from serving.engine.ray_deployment import LOCAL, application_of
from serving.engine.ray_model import Call, ClusterFault
from serving.engine.ray_replica import Replica, Reply, Shipped
from serving.settings import Settings

T = TypeVar("T")

_NAMESPACE = "fenzhen"
_DISTURBED = 5
_START_S = 180.0
"""Longest wait for a model's first replica, until it is warm."""
_LOOK_S = 0.2
_KNOCK_S = 5.0


class Cluster:
    """This server's part of a cluster. Its applications are called `SERVER:NAME@VERSION`."""

    def __init__(self, settings: Settings) -> None:
        """Connects, or starts a cluster on this machine. Raises ModelUnavailable."""
        self._settings = settings
        self._local = settings.ray_address == LOCAL
        self._prefix = f"{settings.ray_name}:"
        self._deploying = threading.Lock()
        self._open = threading.Lock()
        self._closed = False
        self._placed: dict[str, _Placed] = {}
        _quiet()
        try:
            _knock(settings.ray_address)
            ray.init(
                address=settings.ray_address,
                namespace=_NAMESPACE,
                include_dashboard=False if self._local else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError, RayError) as error:
            why = str(error).strip().split("\n", 1)[0]
            raise ModelUnavailable(f"no Ray cluster at {settings.ray_address}: {why}") from error
        try:
            self._presence = self._take_name()
            serve.start(proxy_location="Disabled")
            _quiet()
            for left in self._applications():
                serve.delete(left)
        except BaseException:
            ray.shutdown()
            raise

    def deploy(self, entry: ModelEntry) -> Call:
        """Put a model on the cluster and wait until it answers. Raises ModelUnavailable."""
        reference = ray.put(Shipped.of(entry))
        application = self._prefix + entry.identity
        with self._deploying:
            bound = _undisturbed(lambda: application_of(entry.manifest, reference, self._settings))
            target = serve.RunTarget(bound, name=application, route_prefix=None)
            (handle,) = _undisturbed(
                lambda: serve.run_many([target], wait_for_applications_running=False)
            )
        try:
            self._await_running(entry.identity)
            handle.identity.remote().result(timeout_s=_START_S)
        except BaseException:
            serve.delete(application, _blocking=False)
            raise
        self._placed[entry.identity] = _Placed(handle, reference)
        infer = handle.infer

        async def call(tensors: Tensors, priority: Priority, timeout_s: float | None) -> Reply:
            try:
                response = infer.remote(dict(tensors), priority, timeout_s)
                try:
                    reply: Reply = await response
                except asyncio.CancelledError:
                    response.cancel()  # in the replica, too
                    raise
            except (RayError, RayServeException) as error:
                raise _fault(error) from error
            return reply

        return call

    def remove(self, identity: str) -> None:
        """Take a model off the cluster; what its replicas have, they finish."""
        with self._open:
            if not self._closed:
                self._placed.pop(identity).handle.shutdown()
                serve.delete(self._prefix + identity)

    def answering(self) -> frozenset[str]:
        """Identities of this server's models that have a replica which runs."""
        with self._open:
            applications = {} if self._closed else serve.status().applications
        return frozenset(
            name.removeprefix(self._prefix)
            for name, application in applications.items()
            if name.startswith(self._prefix)
            and any(d.replica_states.get("RUNNING") for d in application.deployments.values())
        )

    def close(self) -> None:
        """Take everything of this server off the cluster and leave; a local one ends with it."""
        with self._open:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(RayError, RayServeException, ConnectionError, TimeoutError):
                for placed in self._placed.values():
                    placed.handle.shutdown()
                if self._local:
                    serve.shutdown()
                else:
                    for name in self._applications():
                        serve.delete(name)
            ray.shutdown()

    def _take_name(self) -> object:
        """Two servers of one name would take each other's models off the cluster.

        The actor ends with this process, however that ends.
        """
        try:
            actor = ray.remote(_Presence).options(
                name=self._settings.ray_name, num_cpus=0, max_restarts=-1
            )
            return actor.remote()
        except ValueError as error:
            raise ModelUnavailable(
                f"a server called {self._settings.ray_name} is on this cluster already; "
                "give this one another FENZHEN_RAY_NAME"
            ) from error

    def _applications(self) -> Iterator[str]:
        return (name for name in serve.status().applications if name.startswith(self._prefix))

    def _await_running(self, identity: str) -> None:
        until = time.monotonic() + _START_S
        while True:
            found = serve.status().applications.get(self._prefix + identity)
            if found is not None and found.status == ApplicationStatus.RUNNING:
                return
            failed = found is not None and found.status == ApplicationStatus.DEPLOY_FAILED
            if failed or time.monotonic() > until:
                why = "" if found is None else _last_words(found)
                raise ModelUnavailable(f"{identity} does not start on the Ray cluster: {why}")
            time.sleep(_LOOK_S)


@dataclass(frozen=True)
class _Placed:
    """A model on the cluster. Its files stay in the object store as long as they are named here:
    a replica that starts later needs them, too."""

    handle: DeploymentHandle[Replica]
    shipped: ray.ObjectRef[Shipped]


class _Presence:
    """Holds a server's name on the cluster."""


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.partition(":")
    if port:
        socket.create_connection((host, int(port)), _KNOCK_S).close()


def _quiet() -> None:
    """Ray warns once for each request that a dead replica costs; `fenzhen_engine_retries` counts
    them. Ray Serve sets its own level when it starts."""
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _last_words(application: object) -> str:
    said = [getattr(application, "message", "")]
    said += [one.message for one in getattr(application, "deployments", {}).values()]
    lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no node has room for it"


def _fault(error: Exception) -> Exception:
    """The cluster's failures as `ClusterFault`; what a replica's code raised is the model's."""
    if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
        return ModelRunError(type(error.cause).__name__)
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return ClusterFault(reason)
    return ClusterFault("cluster")


_REASONS: dict[type[Exception], str] = {
    ActorDiedError: "replica_died",
    ActorUnavailableError: "replica_unreachable",
    ObjectLostError: "answer_lost",
}


def _undisturbed(act: Callable[[], T]) -> T:
    """What `act` gives, tried again where Ray got in its own way.

    Ray registers a module for the time in which it pickles a deployment's configuration, in one
    place for all threads. Its threads behind the handles of other models do the same meanwhile, and
    whoever is second to take the module out finds it gone.
    """
    for _ in range(_DISTURBED):
        try:
            return act()
        except ValueError as error:
            if "pickle by value" not in str(error):
                raise
    return act()
