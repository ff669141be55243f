"""Which models are in service, with the tasks made for exactly these versions.

`Hosting` loads them through an engine and replaces them while requests run. A request holds one
`Hosted` from its beginning to its end: what it prepares, asks and reads comes from one set of
versions, and a version leaves the engine when the last request that held it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import structlog

from models.backends import Tensors
from models.backends.opening import require_known
from models.backends.synthetic import entry_of
from models.errors import ModelLicenceError, ModelRefused, UnknownModel
from models.manifest import Manifest
from models.repository import ModelEntry, ModelRepository
from models.tasks.acuity import AcuityTask
from models.tasks.image_kind import ImageKindTask, best_gate
from models.tasks.imaging import ImagingTask
from models.tasks.reranker import RerankerTask
from models.tasks.triage import TriageTask
from serving.engine.inference import Inference, ModelHost, Priority
from serving.settings import Settings

log = structlog.get_logger()

EMBEDDING = "embedding"
NEEDED = ("department", EMBEDDING)
"""Models without which there is no server."""


@dataclass(frozen=True, eq=False)
class Hosted:
    """The models of one moment. `acuity` and `imaging` map a model's name to its task.

    `models` are those that the tasks use, by name; `entries` everything that the engine runs, by
    identity: other versions of them too, and synthetic ones. `refused` may not be used here.

    `gate` tells kinds of pictures apart before an imaging task; `reranker` judges passages for
    answers. None where the repository has no such model.
    """

    engine: ModelHost
    models: Mapping[str, ModelEntry]
    entries: Mapping[str, ModelEntry]
    refused: Mapping[str, ModelEntry]
    triage: TriageTask
    acuity: Mapping[str, AcuityTask]
    gate: ImageKindTask | None
    imaging: Mapping[str, ImagingTask]
    reranker: RerankerTask | None

    @cached_property
    def _further(self) -> Mapping[str, ModelEntry]:
        """Models that no task uses, by name."""
        return {entry.manifest.name: entry for entry in self.entries.values()}

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """Ask the version of the model that this set's tasks are made for."""
        return await self.engine.infer(
            self.models[model].identity, tensors, priority=priority, timeout_s=timeout_s
        )

    def latest(self, name: str) -> ModelEntry:
        """What a model's bare name stands for; raises UnknownModel."""
        found = self.models.get(name) or self._further.get(name)
        if found is None:
            raise UnknownModel(f"no model {name} is hosted")
        return found


class Hosting:
    """The hosted models of a server; `hosted` is the present set."""

    def __init__(self, settings: Settings, engine: ModelHost, hosted: Hosted) -> None:
        self._settings = settings
        self._engine = engine
        self._one_at_a_time = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self.hosted = hosted

    @classmethod
    async def open(cls, settings: Settings, engine: ModelHost) -> Hosting:
        """Verify, load and warm up everything that may be hosted.

        Raises ModelError for a missing or altered file, and where a needed model is missing or
        kept out.
        """
        chosen = await asyncio.to_thread(_choose, settings)
        return cls(settings, engine, await _brought_up(chosen, engine))

    async def reload(self, name: str | None = None) -> tuple[str, ...]:
        """Put what lies in the repository now into service; `name`: that model alone.

        Returns the identities that are new. Nobody is refused meanwhile, and after a ModelError
        everything is as before. The embedding stays until a restart: the index of search was made
        with it. Raises UnknownModel for a name that is not in the repository.
        """
        async with self._one_at_a_time:
            before = self.hosted
            chosen = await asyncio.to_thread(_choose, self._settings, before, name)
            after = await _brought_up(chosen, self._engine)
            self.hosted = after
            gone = set(before.entries) - set(after.entries)
            loop = asyncio.get_running_loop()
            weakref.finalize(before, _soon, loop, self._retire, gone).atexit = False
            return tuple(sorted(set(after.entries) - set(before.entries)))

    def _retire(self, identities: Iterable[str]) -> None:
        """Nobody holds these any more, unless they have come back."""
        for identity in set(identities) - set(self.hosted.entries):
            leaving = asyncio.ensure_future(self._engine.remove(identity))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


@dataclass(frozen=True)
class _Chosen:
    """What should be in service."""

    models: Mapping[str, ModelEntry]
    others: Mapping[str, ModelEntry]
    refused: Mapping[str, ModelEntry]


async def _brought_up(chosen: _Chosen, engine: ModelHost) -> Hosted:
    entries = {e.identity: e for e in (*chosen.models.values(), *chosen.others.values())}
    await asyncio.gather(*map(engine.host, entries.values()))
    return await asyncio.to_thread(_with_tasks, chosen, entries, engine)


def _with_tasks(chosen: _Chosen, entries: Mapping[str, ModelEntry], engine: ModelHost) -> Hosted:
    models = chosen.models
    kinds = best_gate(entry.manifest for entry in models.values())
    gate = None if kinds is None else ImageKindTask(kinds)
    reranker = models.get(RerankerTask.model)
    return Hosted(
        engine=engine,
        models=models,
        entries=entries,
        refused=chosen.refused,
        triage=TriageTask(models["department"], models.get("urgency")),
        acuity={
            name: AcuityTask(entry.manifest)
            for name, entry in models.items()
            if entry.manifest.task == "acuity"
        },
        gate=gate,
        imaging={
            name: ImagingTask(entry.manifest, gate)
            for name, entry in models.items()
            if entry.manifest.task == "imaging" and _guarded(entry.manifest, gate)
        },
        reranker=None if reranker is None else RerankerTask(reranker.manifest, reranker.folder),
    )


def _soon(
    loop: asyncio.AbstractEventLoop,
    retire: Callable[[Iterable[str]], None],
    identities: Iterable[str],
) -> None:
    with contextlib.suppress(RuntimeError):  # the server ended first
        loop.call_soon_threadsafe(retire, identities)


def _choose(settings: Settings, before: Hosted | None = None, only: str | None = None) -> _Chosen:
    """Of every model the pinned or the latest version, verified, and those that are kept out: by
    their licence, or because they would answer any picture. Models for benchmarks alone are
    passed over.

    `only`: the rest stays as it was `before`, and so does the embedding in any case.
    """
    repository: ModelRepository = settings.repository
    found = [entry for entry in repository.entries() if not entry.manifest.benchmark_only]
    latest = {entry.manifest.name: entry for entry in found}
    names = dict.fromkeys((*latest, *settings.model_versions, *NEEDED) if only is None else (only,))
    admitted, refused = _staying(before, only)
    for name in names:
        if name in admitted:
            continue
        try:
            admitted[name] = repository.get(name, settings.model_versions.get(name))
        except (ModelLicenceError, ModelRefused) as error:
            if name in NEEDED:
                raise
            log.warning("model not loaded", model=name, why=str(error))
            refused[name] = latest[name]
    require_known(settings.backends, (*admitted, *refused))
    others = [entry_of(one) for one in settings.synthetic.split()]
    if settings.all_versions:
        others += [
            repository.get(entry.manifest.name, entry.manifest.version)
            for entry in found
            if entry.manifest.name in admitted
        ]
    return _Chosen(admitted, {entry.identity: entry for entry in others}, refused)


def _staying(
    before: Hosted | None, only: str | None
) -> tuple[dict[str, ModelEntry], dict[str, ModelEntry]]:
    """The models that a reload does not touch, and of those kept out as well."""
    if before is None:
        return {}, {}
    stay = {EMBEDDING} if only is None else {*before.models, EMBEDDING} - ({only} - {EMBEDDING})
    out = {} if only is None else {n: e for n, e in before.refused.items() if n != only}
    return {name: before.models[name] for name in before.models if name in stay}, out


def _guarded(manifest: Manifest, gate: ImageKindTask | None) -> bool:
    """Whether the gate knows the kind of picture that the model reads; else it is not offered.

    A model that names no kind refuses by the distance from its training images: one without
    either does not come out of the repository.
    """
    kind = manifest.population.image_kind
    known = kind is None or (gate is not None and gate.label(kind) is not None)
    if not known:
        log.warning("imaging model not offered: no gate knows its pictures", model=manifest.name)
    return known
