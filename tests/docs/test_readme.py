"""The README's commands run, on a real server, exactly as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.servers import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```sh\n(.*?)```", re.S)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")


def blocks(name: str) -> list[str]:
    return BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder whose `.venv/bin` is this environment's."""
    place = tmp_path_factory.mktemp("readme")
    (place / ".venv").mkdir()
    (place / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    Image.linear_gradient("L").resize((224, 224)).save(place / "xray.png")
    return place


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """A real server with its data in the folder; stopped at the end by SIGTERM."""
    server = ServerProcess(folder / "var", {"FENZHEN_ALLOW_NONCOMMERCIAL": "true"})
    try:
        server.start()
        yield server.port
        assert server.end() == 0, "a server that is told to stop ends cleanly"
    finally:
        server.close()


def run(script: str, folder: Path, port: int) -> str:
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_every_command_of_the_readme_runs(readme: str, folder: Path, port: int) -> None:
    assert shutil.which("curl"), "the README uses curl"
    scripts = [b for b in blocks(readme) if not b.startswith("make ")]
    assert scripts
    printed = run("\n".join(scripts), folder, port)
    answers, at = [], printed.find('{"')
    while at >= 0:
        answer, end = json.JSONDecoder().raw_decode(printed[at:])
        answers.append(answer)
        at = printed.find('{"', at + end)
    triage = next(a for a in answers if "result" in a)
    assert triage["result"]["disposition"]["level"] == 1
    if readme == "README.md":
        assert next(a for a in answers if "hits" in a)["hits"]
        assert next(a for a in answers if "results" in a)["review_task_id"]
        assert "The content is sound." in printed
        assert "intact" in printed


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_make_targets_of_the_readme_exist(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / readme).read_text(encoding="utf-8")
    for target in re.findall(r"`?make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.M) or target in {"and"}, target


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=str)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
