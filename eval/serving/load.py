"""The load generator, for any server that answers a POST.

    python -m eval.serving.load http://127.0.0.1:8000/v2/models/sleep/infer --key KEY \\
        --data '{"inputs": [...]}' --callers 16 --seconds 10
    python -m eval.serving.load URL --rate 369 --class emergency=5 --class interactive=95 \\
        --deadline-ms 1000 --series

The last line is one JSON object. Closed loop with --callers, open loop with --rate.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from eval.serving import loops
from eval.serving.connections import BadUrl
from eval.serving.recording import Run
from eval.serving.requests import PLAIN, Body, Kind, Traffic, traffic
from eval.serving.waiting import with_bar

_BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.1,0.2,0.3,0.4]}]}'


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit 2 with one sentence for arguments that make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.serving.load",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("url", help="http://host:port/path")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--callers", type=int, help="closed loop: so many at once")
    how.add_argument("--rate", type=float, help="open loop: so many requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="that are counted")
    parser.add_argument("--warm", type=float, default=1.0, help="seconds before them")
    parser.add_argument("--deadline-ms", type=float, help="goodput counts answers within it")
    parser.add_argument("--data", default=_BODY, help="the body, or @FILE; one row of 4 numbers")
    parser.add_argument("--header", action="append", default=[], help="'Name: value'")
    parser.add_argument("--key", help="API key, sent as a bearer token")
    parser.add_argument(
        "--class", dest="kinds", action="append", default=[], metavar="NAME=WEIGHT",
        help="share of a class, sent as X-Priority; more than once",
    )  # fmt: skip
    parser.add_argument("--series", action="store_true", help="also a row for each second")
    given = parser.parse_args(arguments)
    if given.seconds <= 0 or given.warm < 0 or (given.callers or given.rate or 0) <= 0:
        parser.error("callers, rate and seconds are greater than 0, and warm is not below it")
    try:
        asked = _traffic(given)
    except (BadUrl, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot read {error.filename}: {error.strerror}")
    if given.deadline_ms is not None and given.deadline_ms <= 0:
        parser.error("the deadline is greater than 0")
    allow_many_connections()
    found = uvloop.run(_run(asked, given))
    sys.stdout.write(json.dumps(found.as_json(series=given.series)) + "\n")


def allow_many_connections() -> None:
    """As many open files as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _traffic(given: argparse.Namespace) -> Traffic:
    data = given.data
    body = Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
    headers = {"Content-Type": "application/json"}
    for line in given.header:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or "\n" in line or "\r" in line:
            raise ValueError(f"a header is 'Name: value', not {line!r}")
        headers[name.strip()] = value.strip()
    if given.key:
        headers["Authorization"] = f"Bearer {given.key}"
    kinds = [_kind(text) for text in given.kinds]
    return traffic(given.url, [Body(body)], headers=headers, kinds=kinds or PLAIN)


def _kind(text: str) -> Kind:
    name, _, weight = text.partition("=")
    try:
        share = float(weight)
    except ValueError:
        share = 0.0
    if not name.isidentifier() or not share > 0:
        raise ValueError(f"a class is NAME=WEIGHT with a weight above 0, not {text!r}")
    return Kind(name, share, {"X-Priority": name})


async def _run(asked: Traffic, given: argparse.Namespace) -> Run:
    timing = {"seconds": given.seconds, "warm_s": given.warm, "deadline_ms": given.deadline_ms}
    work = (
        loops.closed(asked, callers=given.callers, **timing)
        if given.callers
        else loops.opened(asked, rate=given.rate, **timing)
    )
    return await with_bar(work, given.warm + given.seconds, "seconds of load")


if __name__ == "__main__":
    main()
