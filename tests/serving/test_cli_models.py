"""`fenzhen models add` as a hospital uses it, and the added model as a physician meets it."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from models.manifest import OutOfDistribution, read_manifest, write_manifest
from models.repository import SHIPPED, ModelRepository, sha256_of
from serving.cli import app
from serving.hosting import NEEDED
from serving.settings import Settings
from serving.storage.codes import Role

runner = CliRunner()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository that the command line uses."""
    monkeypatch.setenv("FENZHEN_MODELS", str(tmp_path / "repository"))
    monkeypatch.setenv("FENZHEN_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path / "repository"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on a server of this machine."""
    folder = tmp_path / "shop"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files; `/to?URL` leads there, `/round` to itself, `/short` breaks off, `/odd` speaks
    no HTTP."""

    def do_GET(self) -> None:
        path, _, wanted = self.path.partition("?")
        if path.startswith(("/to", "/round")):
            self.send_response(302)
            self.send_header("Location", wanted.partition("&")[0] or self.path)
            self.end_headers()
        elif path.startswith("/odd"):
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def run(*words: str, code: int = 0) -> str:
    done = runner.invoke(app, ["models", *words])
    assert done.exit_code == code, done.output
    return done.output


def small_model() -> Path:
    return ModelRepository().get("dialogue_status").folder


def archive(folder: Path, kind: str = "zip") -> Path:
    """The small model as one file in `folder`."""
    return Path(shutil.make_archive(str(folder / "model"), kind, small_model()))


def test_a_ready_folder_is_added_listed_and_intact(root: Path) -> None:
    added = json.loads(run("add", str(small_model()), "--json").splitlines()[-1])
    assert (added["name"], added["version"]) == ("dialogue_status", 1)
    assert Path(added["folder"]) == root / "dialogue_status" / "1"
    assert "dialogue_status 1: intact" in run("verify")
    assert "dialogue_status" in run("list")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_fetched_and_added(root: Path, shop: tuple[Path, str], kind: str) -> None:
    folder, address = shop
    file = archive(folder, kind)
    said = run("add", f"{address}/{file.name}?key=secret", "--sha256", sha256_of(file))
    assert "was added" in said
    assert (root / "dialogue_status" / "1" / "model.onnx").is_file()


def test_a_version_is_never_overwritten_and_can_be_the_next(root: Path) -> None:
    run("add", str(small_model()))
    assert "is there already" in run("add", str(small_model()), code=1)
    assert "dialogue_status 2 was added" in run("add", str(small_model()), "--as-next")
    assert sorted(p.name for p in (root / "dialogue_status").iterdir()) == ["1", "2"]
    assert "intact" in run("verify")


def test_a_download_must_have_the_sha256_that_was_asked_for(
    root: Path, shop: tuple[Path, str]
) -> None:
    folder, address = shop
    digest = sha256_of(archive(folder))
    source = f"{address}/model.zip"
    assert "sha256 differs" in run("add", source, "--sha256", "0" * 64, code=1)
    assert not root.exists()
    run("add", source, "--sha256", digest)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nothing.zip", "answers 404"),
        ("/short.zip", "cannot be fetched"),
        ("/odd.zip", "cannot be fetched"),
        ("/round.zip", "sends on and on"),
        ("/", "names no file"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_nothing_is_added(
    root: Path, shop: tuple[Path, str], path: str, why: str
) -> None:
    _, address = shop
    said = run("add", f"{address}{path}?&key=secret", "--sha256", "0" * 64, code=1)
    assert why in said
    assert "secret" not in said
    assert not root.exists()


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/hostname", "another protocol"),
        ("ftp://example.org/x.zip", "another protocol"),
        ("http://10.0.0.1/x.zip", "not public"),
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("http://[::ffff:10.0.0.1]/x.zip", "not public"),
        ("http://localhost:1/x.zip", "not public"),
        ("http://no-such-host.invalid/x.zip", "not public"),
    ],
)
def test_a_server_cannot_send_the_operator_into_his_own_network(
    root: Path, shop: tuple[Path, str], location: str, why: str
) -> None:
    _, address = shop
    said = run("add", f"{address}/to.zip?{location}", "--sha256", "0" * 64, code=1)
    assert why in said
    assert not root.exists()


def test_a_server_may_send_on_to_another_of_its_own_files(
    root: Path, shop: tuple[Path, str]
) -> None:
    folder, address = shop
    digest = sha256_of(archive(folder))
    run("add", f"{address}/to.zip?{address}/model.zip", "--sha256", digest)
    assert (root / "dialogue_status" / "1" / "model.onnx").is_file()


def test_nothing_comes_over_plain_http_without_a_sha256(root: Path, shop: tuple[Path, str]) -> None:
    folder, address = shop
    archive(folder)
    assert "https address, or --sha256" in run("add", f"{address}/model.zip", code=1)
    assert "64 hexadecimal digits" in run("add", f"{address}/model.zip", "--sha256", "abc", code=1)
    assert not root.exists()


def test_a_download_larger_than_allowed_is_refused(root: Path, shop: tuple[Path, str]) -> None:
    folder, address = shop
    words = ["--max-bytes", "1000", "--sha256", sha256_of(archive(folder))]
    assert "larger than" in run("add", f"{address}/model.zip", *words, code=1)
    assert not root.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["add"], "which model"),
        (["add", "nowhere"], "there is no nowhere"),
        (["add", "x.pt", "--kind", "densenet"], "needs --about"),
        (["add", "x", "--about", "about.yaml"], "leave --about away"),
        (["add", "ftp://host/model.zip"], "there is no"),
        (["add", "https://host:port/model.zip"], "this is no address"),
        (["add", "https:///model.zip"], "names no host"),
    ],
)
@pytest.mark.usefixtures("root")
def test_what_is_missing_is_said(words: list[str], why: str) -> None:
    assert why in run(*words, code=1)


def test_brackets_in_a_message_are_words_and_no_markup(root: Path, tmp_path: Path) -> None:
    shutil.copytree(small_model(), tmp_path / "x")
    path = tmp_path / "x" / "manifest.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(fields | {"[/bold]": 1}), encoding="utf-8")
    assert "[/bold]: Extra inputs" in run("add", str(tmp_path / "x"), code=1)
    assert not root.exists()


def test_a_picture_is_no_model(root: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    assert "no folder" in run("add", str(tmp_path / "x.png"), code=1)
    assert not root.exists()


def test_the_template_is_a_sound_about_yaml(tmp_path: Path) -> None:
    from training.adopt.about import read_about

    (tmp_path / "about.yaml").write_text(run("add", "--template"), encoding="utf-8")
    about = read_about(tmp_path / "about.yaml")
    assert about.check_classifier().standard.mean == (0.5,)
    assert yaml.safe_load(run("add", "--template"))["population"]["image_kind"] == "chest_xray"


def png() -> bytes:
    """A grey picture with some structure."""
    y, x = np.mgrid[0:256, 0:256]
    pixels = (127 + 80 * np.sin(x / 17) * np.cos(y / 23)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def with_distances(folder: Path, target: Path) -> Path:
    """A copy of an added classifier whose owner has measured its training images: it names no kind
    of picture and knows its own by their distance."""
    shutil.copytree(folder, target)
    manifest = read_manifest(target)
    width = next(spec.shape[-1] for spec in manifest.outputs if spec.name == "features")
    near = {"mean": [0.0] * width, "precision": np.eye(width).ravel().tolist()}
    changes = {
        "name": "chest_findings",
        "population": manifest.population.model_copy(update={"image_kind": None}),
        "ood": OutOfDistribution(method="mahalanobis", threshold=1e6, statistics=near),
    }
    write_manifest(target, manifest.model_copy(update=changes))
    return target


@pytest.mark.torch
def test_an_added_network_gives_opinions_and_an_added_encoder_finds_passages(
    root: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    from serving.app import create_app
    from serving.first_start import make_first_users
    from tests.training.adopt.layouts import (
        save_text_encoder,
        save_torchxrayvision,
        write_about,
    )

    for name in NEEDED:
        shutil.copytree(SHIPPED / name, root / name)
    net = save_torchxrayvision(tmp_path / "x.pt", legacy=True)
    about = write_about(
        tmp_path,
        name="of_no_known_kind",
        image={"size": 64, "scaling": "torchxrayvision", "shape": "squash"},
    )
    run("add", str(tmp_path / "x.pt"), "--kind", "densenet", "--about", str(about))
    run("add", str(with_distances(root / "of_no_known_kind" / "1", tmp_path / "measured")))
    save_text_encoder(tmp_path / "encoder")
    about = write_about(
        tmp_path, name="embedding", languages=["zh", "en"], text={"pooling": "mean", "longest": 48}
    )
    words = ["add", str(tmp_path / "encoder"), "--kind", "text-encoder", "--about", str(about)]
    assert "embedding 3 was added" in run(*words, "--as-next")
    assert "intact" in run("verify")

    keys: dict[Role, str] = {}
    settings = Settings(var=tmp_path / "var", models=root, _env_file=None)  # type: ignore[call-arg]
    made = create_app(settings, opened=lambda s: keys.update(make_first_users(s.db)))
    with TestClient(made) as client:
        headers = {"Authorization": f"Bearer {keys[Role.PHYSICIAN]}"}
        answer = client.post(
            "/v1/imaging/studies",
            files={"files": ("x.png", png())},
            data={"task": "chest_findings", "age_years": 40},
            headers=headers,
        )
        assert answer.status_code == 201, answer.text
        [result] = answer.json()["results"]
        assert result["task"] == "chest_findings"
        assert [p["code"] for p in result["probabilities"]] == ["no_pneumonia", "pneumonia"]
        assert result["operating_point"]["threshold"] == pytest.approx(0.05)
        assert [head["code"] for head in result["also"]] == ["effusion"]
        assert answer.json()["review_task_id"]
        young = client.post(
            "/v1/imaging/studies",
            files={"files": ("x.png", png())},
            data={"task": "chest_findings", "age_years": 4},
            headers=headers,
        ).json()["results"][0]
        assert young["abstained"] == ["age_outside_population"]
        assert young["probabilities"] == []
        # The first says that it reads radiographs of the chest, and no gate is here to know them.
        unknown = client.post(
            "/v1/imaging/studies",
            files={"files": ("x.png", png())},
            data={"task": "of_no_known_kind", "age_years": 40},
            headers=headers,
        )
        assert unknown.status_code == 404
        url = f"/v1/imaging/studies/{answer.json()['decision_id']}/heatmap.png"
        assert client.get(url, headers=headers).status_code == 200
        hits = client.get(
            "/v1/knowledge/search", params={"q": "发热 咳嗽"}, headers=headers
        ).json()["hits"]
        assert hits
    pixels = np.asarray(Image.open(io.BytesIO(png())).resize((64, 64), Image.Resampling.BILINEAR))
    given = torch.tensor((2 * (pixels / 255.0) - 1) * 1024).float()[None, None]
    with torch.inference_mode():
        expected = float(torch.sigmoid(net(given))[0, 1])
    assert result["probabilities"][1]["probability"] == pytest.approx(expected, abs=0.02)
