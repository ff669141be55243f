"""A model folder from elsewhere: unpacked safely, checked wholly, installed or left out."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.adopt.check import check_folder
from models.adopt.guard import check_kind
from models.adopt.install import install, next_version
from models.adopt.unpack import copy_plain, unpack
from models.errors import ModelIntegrityError, ModelRefused
from models.manifest import MANIFEST_FILE, read_manifest, write_manifest
from models.repository import ModelRepository, sha256_of

LIMIT = 50_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a small shipped model that is fit to be added."""
    source = ModelRepository().get("dialogue_status").folder
    shutil.copytree(source, tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST_FILE
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


def renew(folder: Path, name: str) -> None:
    """Give the manifest the sha256 that a changed file has now."""
    edit(folder, lambda m: m["files"].update({name: sha256_of(folder / name)}))


@pytest.mark.parametrize("entry", ModelRepository().entries(), ids=lambda e: e.manifest.name)
def test_every_shipped_model_would_be_fit_to_be_added(entry: Any) -> None:
    assert check_folder(entry.folder) == entry.manifest


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("inputs"), "inputs: Field required"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(name="../../etc"), "name"),
        (lambda m: m.update(name="triage_from_elsewhere"), "under that name only"),
        (lambda m: m.update(training_sets=[]), "no training set"),
        (lambda m: m["files"].update({"../../secret.json": "0" * 64}), "no file of a model"),
        (lambda m: m["files"].update({"/etc/passwd": "0" * 64}), "no file of a model"),
        (lambda m: m["files"].update({"run.py": "0" * 64}), "no file of a model"),
        (lambda m: m["files"].update({"words.json": "0" * 64}), "missing"),
        (lambda m: m["files"].update({"model.onnx": "0" * 64}), r"model\.onnx: sha256 differs"),
        (lambda m: m["files"].pop("model.onnx"), r"lists no model\.onnx"),
        (lambda m: m["inputs"][0].update(name="other"), "has the inputs"),
        (lambda m: m["inputs"][0].update(dtype="float32"), "declared float32"),
        (lambda m: m["outputs"][0]["shape"].__setitem__(0, 1), "must be -1"),
        (lambda m: m["outputs"][0]["shape"].__setitem__(-1, 999), "declared"),
    ],
)
def test_a_manifest_that_lies_is_refused(folder: Path, change: Any, why: str) -> None:
    edit(folder, change)
    with pytest.raises(ModelRefused, match=why):
        check_folder(folder)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m["labels"].append({"code": "x", "zh": "x", "en": "x"}), "3 labels for"),
        (lambda m: m["thresholds"].update(nothing=0.5), "unknown label nothing"),
        (lambda m: m["thresholds"].update(pneumonia=7), "not a probability"),
        (lambda m: m["preprocessing"].update(mode="dream"), "preprocessing"),
        (lambda m: m["preprocessing"].update(magic=1), "unknown preprocessing: magic"),
        (lambda m: m["preprocessing"].update(size=96), "the server makes"),
        (lambda m: m["labels"].__setitem__(1, m["labels"][0]), "there twice"),
    ],
)
def test_an_imaging_manifest_that_does_not_fit_its_network_is_refused(
    tmp_path: Path, change: Any, why: str
) -> None:
    source = ModelRepository().get("cxr_pneumonia").folder
    shutil.copytree(source, tmp_path / "model")
    edit(tmp_path / "model", change)
    with pytest.raises(ModelRefused, match=why):
        check_folder(tmp_path / "model")


def test_an_imaging_model_that_would_answer_any_picture_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ModelRepository().get("cxr_pneumonia").folder, tmp_path / "model")
    edit(tmp_path / "model", lambda m: m["population"].pop("image_kind"))
    assert check_folder(tmp_path / "model").ood is not None, "it knows its own pictures by distance"
    edit(tmp_path / "model", lambda m: m.pop("ood"))
    with pytest.raises(ModelRefused, match="an opinion on any picture: name its population"):
        check_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda ood: ood.update(method="energy"), "ood does not fit"),
        (lambda ood: ood["statistics"].pop("mean"), "ood does not fit"),
        (lambda ood: ood["statistics"].update(mean=[0.0], precision=[1.0]), "ood does not fit"),
        (lambda ood: ood.update(threshold=0.0), "no number"),
    ],
)
def test_distances_that_cannot_be_computed_are_refused(
    tmp_path: Path, change: Any, why: str
) -> None:
    shutil.copytree(ModelRepository().get("cxr_pneumonia").folder, tmp_path / "model")
    edit(tmp_path / "model", lambda m: change(m["ood"]))
    with pytest.raises(ModelRefused, match=why):
        check_folder(tmp_path / "model")


def test_a_kind_of_picture_that_the_repositorys_gate_does_not_know_is_refused() -> None:
    repository = ModelRepository()
    gate = repository.get("image_kind").manifest
    model = repository.get("cxr_pneumonia").manifest
    check_kind(model, [gate])
    check_kind(model, [])
    for unknown in ("mammogram", "other"):
        population = model.population.model_copy(update={"image_kind": unknown})
        with pytest.raises(ModelRefused, match=f"of the kind {unknown}; known are chest_xray"):
            check_kind(model.model_copy(update={"population": population}), [model, gate])


def test_a_model_without_a_card_is_refused(folder: Path) -> None:
    (folder / "MODEL_CARD.md").unlink()
    edit(folder, lambda m: m["files"].pop("MODEL_CARD.md"))
    with pytest.raises(ModelRefused, match="there is no MODEL_CARD"):
        check_folder(folder)


def test_a_truncated_network_is_refused_although_its_sha256_is_right(folder: Path) -> None:
    network = folder / "model.onnx"
    network.write_bytes(network.read_bytes()[:5_000])
    renew(folder, "model.onnx")
    with pytest.raises(ModelRefused, match="does not load"):
        check_folder(folder)


def test_weights_in_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(folder / "model.onnx"))
    secret = tmp_path / "secret.bin"
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    secret.write_bytes(tensor.raw_data)
    for place in (str(secret), "../secret.bin", "secret.bin"):
        tensor.ClearField("raw_data")
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        renew(folder, "model.onnx")
        with pytest.raises(ModelRefused, match="does not load"):
            check_folder(folder)


def test_a_file_that_nobody_listed_and_a_link_are_refused(folder: Path) -> None:
    (folder / "model.onnx.data").write_bytes(b"weights")
    with pytest.raises(ModelRefused, match=r"model\.onnx\.data: not in the manifest"):
        check_folder(folder)
    (folder / "model.onnx.data").unlink()
    (folder / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(ModelRefused, match="not a plain file"):
        check_folder(folder)
    with pytest.raises(ModelRefused, match="not a plain file"):
        copy_plain(folder, folder.parent / "copy", LIMIT)


def test_a_model_is_installed_whole_and_never_overwritten(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    manifest = check_folder(folder)
    entry = install(folder, manifest, root, as_next=False)
    assert entry.folder == root / manifest.name / str(manifest.version)
    assert ModelRepository(root, allow_noncommercial=True).get(manifest.name).manifest == manifest
    with pytest.raises(ModelRefused, match="is there already"):
        install(folder, manifest, root, as_next=False)
    later = install(folder, manifest, root, as_next=True).manifest
    assert later.version == manifest.version + 1 == next_version(root, manifest.name) - 1
    assert any("its maker calls it version" in note for note in later.notes)
    assert [p.name for p in root.iterdir()] == [manifest.name], "nothing is left over"


def test_a_failed_installation_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    manifest = check_folder(folder)
    (folder / "model.onnx").write_bytes(b"changed after the check")
    with pytest.raises(ModelIntegrityError, match="sha256 differs"):
        install(folder, manifest, root, as_next=False)
    assert list(root.rglob("*")) == []


def zip_of(path: Path, members: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes.get("mode", 0) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def tar_of(path: Path, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/tmp/outside", "..\\outside", "C:outside", "a/.."]
)
def test_no_member_of_an_archive_leaves_it(tmp_path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = 1
    for archive in (
        zip_of(tmp_path / "x.zip", {name: b"x"}),
        tar_of(tmp_path / "x.tar.gz", [info]),
    ):
        with pytest.raises(ModelRefused, match=r"leads outside|not a readable"):
            unpack(archive, tmp_path / "deep" / archive.name, LIMIT)
    assert not list(tmp_path.rglob("outside*"))
    assert not Path("/tmp/outside").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_an_archive_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("a")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(ModelRefused, match="not a plain file"):
        unpack(tar_of(tmp_path / "x.tar.gz", [info]), tmp_path / "out", LIMIT)
    link = zip_of(tmp_path / "x.zip", {"a": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(ModelRefused, match="not a plain file"):
        unpack(link, tmp_path / "out2", LIMIT)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "x.zip", {"a": b"\0" * 2_000_000})
    assert bomb.stat().st_size < 10_000
    with pytest.raises(ModelRefused, match="size limit"):
        unpack(bomb, tmp_path / "out", 1_000_000)
    many = zip_of(tmp_path / "y.zip", {str(i): b"" for i in range(2_001)})
    with pytest.raises(ModelRefused, match="members"):
        unpack(many, tmp_path / "out2", LIMIT)


def test_a_truncated_archive_is_refused(tmp_path: Path, folder: Path) -> None:
    for kind, suffix in (("zip", ".zip"), ("gztar", ".tar.gz")):
        whole = Path(shutil.make_archive(str(tmp_path / "x"), kind, folder))
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(ModelRefused, match="not a readable archive"):
            unpack(cut, tmp_path / f"out{suffix}", LIMIT)


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_of_a_folder_unpacks_to_the_folder(
    tmp_path: Path, folder: Path, kind: str
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "x"), kind, folder.parent, folder.name))
    found = unpack(archive, tmp_path / "out", LIMIT)
    assert check_folder(found) == read_manifest(folder)
    write_manifest(found, read_manifest(found))
