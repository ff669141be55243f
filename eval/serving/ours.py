"""`fenzhen serve` as anybody starts it, with a key that may ask its models over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.result import BenchmarkError
from eval.serving.processes import Command

NAME = "fenzhen"
_START_S = 300.0


def own_command() -> tuple[str, ...]:
    """`fenzhen` beside the Python that runs this."""
    return (str(Path(sys.executable).with_name(NAME)),)


def environment(folder: Path, port: int, synthetic: str, threads: int) -> dict[str, str]:
    """Settings: all else is as shipped.

    synthetic: models without a network that the server is to host as well.
    """
    return {
        "FENZHEN_VAR": str(folder),
        "FENZHEN_HOST": "127.0.0.1",
        "FENZHEN_PORT": str(port),
        "FENZHEN_SYNTHETIC": synthetic,
        "FENZHEN_MODEL_THREADS": str(threads),
        "FENZHEN_ALLOW_NONCOMMERCIAL": "true",
        "FENZHEN_LOG_LEVEL": "warning",
    }


def command(fenzhen: Sequence[str], settings: dict[str, str]) -> Command:
    """How it is started."""
    return Command(
        arguments=(*fenzhen, "serve"),
        port=int(settings["FENZHEN_PORT"]),
        ready="/health/ready",
        environment=settings,
        start_s=_START_S,
    )


def new_key(fenzhen: Sequence[str], settings: dict[str, str]) -> str:
    """The key of a new administrator; raises BenchmarkError with what the command said."""
    try:
        made = subprocess.run(
            [*fenzhen, "user", "add", "bench", "--role", "administrator"],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=True,
        )
    except OSError as error:
        raise BenchmarkError(f"cannot run {fenzhen[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"no user: {error.stderr.strip()}") from None
    return made.stdout.split()[-1]


def url(port: int, model: str) -> str:
    """Where a model is asked (Open Inference Protocol)."""
    return f"http://127.0.0.1:{port}/v2/models/{model}/infer"
