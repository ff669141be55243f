"""Who is measured: ours and its peers, each in an environment of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eval.result import BenchmarkError
from eval.serving import ours
from eval.serving.processes import Command, Running, free_port, serving
from eval.serving.workloads import BASE_MS, ROW_MS, Workload

PEERS_FOLDER = Path(__file__).parent / "peers"
SYNTHETIC = f"echo sleep:{BASE_MS:g}+{ROW_MS:g}n"
_READY = b'{"inputs":[]}'


@dataclass(frozen=True)
class Served:
    """A running server: where it is asked, with which headers, and its processes."""

    url: str
    headers: Mapping[str, str]
    running: Running


class Contestant(ABC):
    """A server that can be started for a workload."""

    name: str

    @abstractmethod
    def prepare(self) -> str:
        """Make its environment where it is missing; its version. Raises BenchmarkError."""

    @abstractmethod
    def serve(
        self, workload: Workload, threads: int, folder: Path
    ) -> AbstractContextManager[Served]:
        """Run it on a free port; `folder` is for what it writes. Raises BenchmarkError."""


@dataclass(frozen=True)
class Ours(Contestant):
    """`fenzhen serve`. fenzhen: how its command line is called."""

    fenzhen: Sequence[str] = field(default_factory=ours.own_command)
    name: str = ours.NAME

    def prepare(self) -> str:
        return "this tree"

    @contextmanager
    def serve(self, workload: Workload, threads: int, folder: Path) -> Iterator[Served]:
        port = free_port()
        settings = ours.environment(folder / "var", port, SYNTHETIC, threads)
        key = ours.new_key(self.fenzhen, settings)
        with serving(ours.command(self.fenzhen, settings), folder / "server.log") as running:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            yield Served(ours.url(port, workload.model), headers, running)


@dataclass(frozen=True)
class Peer(Contestant):
    """A framework of others, as `peers/NAME/app.py` says.

    python: of an environment that has it already; else one is made below `environments`.
    """

    name: str
    environments: Path
    python: Path | None = None

    def prepare(self) -> str:
        if self.python is None:
            self._install()
        asked = f"import importlib.metadata as m; print(m.version({self.name!r}))"
        return _run([str(self._python), "-c", asked]).strip()

    @contextmanager
    def serve(self, workload: Workload, threads: int, folder: Path) -> Iterator[Served]:
        port = free_port()
        environment = {
            "PYTHONPATH": str(PEERS_FOLDER / "shared"),
            "PEER_WORKLOAD": workload.name if workload.entry is None else "onnx",
            "PEER_PORT": str(port),
            "PEER_THREADS": str(threads),
        }
        if workload.entry is not None:
            environment["PEER_MODEL"] = str(workload.entry.network.resolve())
        command = Command(
            arguments=(str(self._python), str(self._folder / "app.py")),
            port=port,
            ready="/infer",
            environment=environment,
            ready_body=_READY if workload.entry is None else workload.bodies[0].data,
        )
        with serving(command, folder / "server.log") as running:
            # Named JSON, a framework may read it itself, and slower than the model does.
            headers = {"Content-Type": "application/octet-stream"}
            yield Served(f"http://127.0.0.1:{port}/infer", headers, running)

    @property
    def _folder(self) -> Path:
        return PEERS_FOLDER / self.name

    @property
    def _python(self) -> Path:
        return self.python or self.environments / self.name / "bin" / "python"

    def _install(self) -> None:
        """Once for each wording of its requirements."""
        wanted = self._folder / "requirements.txt"
        done = self.environments / self.name / "installed"
        digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
        if done.is_file() and done.read_text(encoding="ascii") == digest:
            return
        _run([sys.executable, "-m", "venv", "--clear", str(done.parent)])
        pip = [str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "-r", str(wanted)])
        done.write_text(digest, encoding="ascii")


PEERS = ("fastapi", "litserve", "bentoml", "mosec", "ray")
"""Folders in `peers`, each named as its package."""


def contestants(
    fenzhen: Sequence[str], environments: Path, only: Sequence[str] = ()
) -> list[Contestant]:
    """Ours first, then the peers; or those that are named."""
    everybody: list[Contestant] = [Ours(fenzhen)]
    everybody += [Peer(name, environments) for name in PEERS]
    return [one for one in everybody if not only or one.name in only]


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchmarkError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode:
        words = " ".join(done.stderr.split())[-500:]
        raise BenchmarkError(f"{Path(command[0]).name} {command[1]} failed: {words}")
    return done.stdout
