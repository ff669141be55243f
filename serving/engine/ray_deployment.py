"""A model as Ray Serve is told of it: what a replica is and reserves, and how many there are."""

from __future__ import annotations

import ray
from ray import serve

from models.backends.opening import on_gpu, options_of
from models.backends.synthetic import TASK
from models.manifest import Manifest
from serving.engine.local import limits_of
from serving.engine.ray_replica import SETTINGS, Replica, Shipped
from serving.settings import Settings

LOCAL = "local"
"""The address that stands for a cluster on this machine, started and ended by the server."""
_HEALTH_PERIOD_S, _HEALTH_TIMEOUT_S = 2.0, 5.0
_UP_S, _DOWN_S = 5.0, 300.0
"""How long there must be too much, or too little, to do before a replica is added or taken out."""


def application_of(
    manifest: Manifest, shipped: ray.ObjectRef[Shipped], settings: Settings
) -> serve.Application:
    """The application of one model, whose files are in the object store."""
    alone = settings.ray_address == LOCAL
    # On one machine the models share its cores, as they do without Ray.
    threads = settings.model_threads or (None if alone else 1)
    cpus = settings.ray_replica_cpus
    if cpus is None:
        cpus = 0 if alone else threads
    given = {name: getattr(settings, name) for name in SETTINGS} | {"model_threads": threads}
    limits = limits_of(settings)
    deployment = serve.deployment(
        Replica,
        name=manifest.name,
        ray_actor_options={
            "num_cpus": cpus,
            "num_gpus": settings.ray_replica_gpus if _on_gpu(manifest, settings) else 0,
        },
        # Everything that our queue has room for: it says no, and Ray Serve need not.
        max_ongoing_requests=limits.capacity + limits.max_batch + 1,
        autoscaling_config={
            "min_replicas": settings.ray_min_replicas,
            "max_replicas": settings.ray_max_replicas,
            # One batch runs and the next one is there.
            "target_ongoing_requests": 2 * limits.max_batch,
            "upscale_delay_s": _UP_S,
            "downscale_delay_s": _DOWN_S,
            "metrics_interval_s": 1.0,
            "look_back_period_s": _UP_S,
        },
        health_check_period_s=_HEALTH_PERIOD_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    # In a list Ray leaves the reference alone, and the replica fetches the files itself.
    return deployment.bind([shipped], given)


def _on_gpu(manifest: Manifest, settings: Settings) -> bool:
    options = options_of(manifest.name, settings.backends, settings.providers)
    return manifest.task != TASK and on_gpu(manifest, options)
