"""The machine under all servers: how idle it was, and what it is."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ticks:
    """Processor time since the start of the machine, in ticks of the cores that we may use."""

    idle: int
    stolen: int
    total: int

    @classmethod
    def now(cls) -> Ticks:
        """From /proc/stat (proc(5)): user nice system idle iowait irq softirq steal of each core;
        guest time is in user already.
        """
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        idle = stolen = total = 0
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *fields = line.split()
            if name in cores:
                ticks = [int(number) for number in fields[:8]]
                idle += ticks[3] + ticks[4]
                stolen += ticks[7]
                total += sum(ticks)
        return cls(idle, stolen, total)


@dataclass(frozen=True)
class Idle:
    """Shares of the machine's processor time that nobody used, and that another machine took."""

    idle: float
    stolen: float

    @classmethod
    def between(cls, before: Ticks, after: Ticks) -> Idle:
        total = max(after.total - before.total, 1)
        return cls(
            round((after.idle - before.idle) / total, 4),
            round((after.stolen - before.stolen) / total, 4),
        )


def described() -> dict[str, object]:
    """Processor, cores, kernel, Python and the load before the run."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
