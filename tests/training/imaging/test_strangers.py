"""Strangers: every drawing draws, the sides of the split share nothing, copies count once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.imaging.strangers import drawings, iter_strangers, mix, noise, odd_medical, strangers
from training.imaging.strangers import photos as photographs
from training.imaging.strangers.canvas import Draw, in_perspective
from training.imaging.strangers.collect import difference_hash, keep
from training.imaging.strangers.config import PhotoPart, PhotoSource, StrangersConfig, read_config
from training.imaging.strangers.fonts import NoFonts, Pen, font_files, lines
from training.imaging.strangers.medical import MedicalImages
from training.imaging.strangers.phone import DRAWN, STAGED, Studio
from training.imaging.strangers.screens import LAYOUTS, html, take

CONFIG = read_config()
needs_fonts = pytest.mark.usefixtures("pen")


def _scene(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Something that has edges and tones of its own."""
    return Image.fromarray(noise.clouds(np.random.default_rng(seed))).resize(size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `collect` leaves one: two photographs and a cut-out on each side."""
    out = tmp_path_factory.mktemp("strangers")
    rows = []
    for source, seed in (("opencv-samples", 1), ("scikit-image-data", 7)):
        for number in range(3):
            name = f"photos/{source}/{number}.{'png' if number == 2 else 'jpg'}"
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            image = _scene(seed + number)
            if number == 2:
                image.putalpha(Image.linear_gradient("L").resize(image.size))
            image.save(out / name)
            rows.append({"file": name, "source": source})
    (out / "photos.json").write_text(json.dumps(rows))
    return out


@pytest.fixture
def pen() -> Pen:
    """A pen with the training side's fonts, or a skip where none are installed."""
    try:
        for held_out in (False, True):
            for script in ("zh", "en"):
                font_files(script, held_out, CONFIG.held_out_fonts)
    except NoFonts as missing:
        pytest.skip(str(missing))
    return Pen(False, CONFIG.held_out_fonts)


@pytest.mark.parametrize(
    "draw",
    [*mix.NOISE, *drawings.ALL, *odd_medical.ALL, *DRAWN],
    ids=lambda draw: f"{draw.__module__.rsplit('.', 1)[-1]}.{draw.__name__}",
)
def test_a_drawing_is_a_picture_that_follows_its_seed(draw: Draw) -> None:
    pictures = [draw(np.random.default_rng(seed)) for seed in (3, 3, 4)]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert min(picture.shape[:2]) >= 60
    assert np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape != pictures[2].shape or (pictures[0] != pictures[2]).any()


@pytest.mark.parametrize("draw", mix.TEXT, ids=lambda draw: draw.__name__)
def test_text_is_written_on_its_paper(draw: object, pen: Pen) -> None:
    assert callable(draw)
    picture = draw(np.random.default_rng(5), pen)
    assert picture.dtype == np.uint8
    assert picture.std() > 2


def test_both_sides_of_the_split_see_every_family_and_no_generator_twice() -> None:
    names = {
        "noise": {f"noise/{draw.__name__}" for draw in mix.NOISE},
        "text": {f"text/{draw.__name__}" for draw in mix.TEXT},
        "drawing": {f"drawing/{draw.__name__}" for draw in drawings.ALL},
        "medical": {f"medical/{draw.__name__}" for draw in odd_medical.ALL},
        "phone": {f"phone/{draw.__name__}" for draw in (*STAGED, *DRAWN)},
        "screens": {f"screens/{layout}" for layout in LAYOUTS},
    }
    held_out = set(CONFIG.held_out_sources)
    assert held_out <= set().union(*names.values()), "a held-out source that nothing draws"
    for family, members in names.items():
        assert members & held_out, family
        assert members - held_out, family
    assert set(CONFIG.shares) == {*names, "photos"}


@needs_fonts
def test_the_two_sides_draw_from_different_sources(folder: Path) -> None:
    train = strangers(folder, "train", 60, 1)
    held_out = strangers(folder, "held_out", 60, 1)
    assert train.images.shape == (60, 160, 160, 3)
    assert not set(train.sources) & set(held_out.sources)
    assert set(held_out.sources) - {"photos/scikit-image-data"} <= set(CONFIG.held_out_sources)
    assert "photos/opencv-samples" in train.sources


@needs_fonts
def test_the_same_seed_packs_the_same_pictures(folder: Path) -> None:
    first, again, other = (strangers(folder, "train", 12, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert first.sources == again.sources
    assert (first.images != other.images).any()


@needs_fonts
def test_a_longer_pack_begins_with_the_shorter_one(folder: Path) -> None:
    short, long = (strangers(folder, "train", count, 4) for count in (5, 9))
    assert np.array_equal(short.images, long.images[:5])


@needs_fonts
def test_strangers_never_end(folder: Path) -> None:
    endless = iter_strangers(folder, 3)
    drawn = [next(endless) for _ in range(8)]
    assert all(pixels.dtype == np.uint8 and pixels.shape[2] == 3 for _, pixels in drawn)
    assert len({source for source, _ in drawn}) > 1


def test_without_photographs_the_error_says_to_collect(tmp_path: Path) -> None:
    with pytest.raises(photographs.NoPhotographs, match="collect"):
        strangers(tmp_path, "train", 1, 1)


@needs_fonts
def test_a_pack_is_read_back_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    packed = strangers(folder, "held_out", 4, 1)
    mix.write_packed(tmp_path / "held_out.npz", packed)
    with np.load(tmp_path / "held_out.npz") as stored:
        assert np.array_equal(stored["images"], packed.images)
        assert tuple(stored["sources"]) == packed.sources


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.imaging.strangers", "pack", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "NoPhotographs" in done.stderr
    assert "Traceback" not in done.stderr


def _source(**settings: object) -> PhotoSource:
    return PhotoSource.model_validate(
        {
            "package": "some-pictures",
            "version": "1.0",
            "registry": "debian",
            "licence": "CC0-1.0",
            "parts": (PhotoPart(name="some", glob="*", split="train"),),
            **settings,
        }
    )


def test_collecting_keeps_photographs_and_leaves_the_rest(tmp_path: Path) -> None:
    root, out = tmp_path / "package", tmp_path / "out"
    root.mkdir()
    _scene(1, (1200, 600)).save(root / "big.jpg")
    _scene(1, (600, 300)).save(root / "copy_of_big.png")
    _scene(2, (20, 20)).save(root / "icon.png")
    _scene(3).save(root / "unwanted.jpg")
    Image.new("RGB", (90, 90), (9, 9, 9)).save(root / "empty.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    cut_out = _scene(4)
    cut_out.putalpha(Image.linear_gradient("L").resize(cut_out.size))
    cut_out.save(root / "stamp.png")

    kept = list(keep(_source(leave_out=("unwanted*",)), root, out, []))

    assert [photo.origin for photo in kept] == ["big.jpg", "stamp.png"]
    for photo in kept:
        stored = (out / photo.file).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == photo.sha256
        assert (photo.licence, photo.version) == ("CC0-1.0", "1.0")
    with Image.open(out / kept[0].file) as small, Image.open(out / kept[1].file) as stamp:
        assert small.size == (512, 256)
        assert stamp.mode == "RGBA"


def test_a_photograph_of_an_earlier_package_is_not_kept_again(tmp_path: Path) -> None:
    hashes: list[int] = []
    for number, quality in enumerate((95, 40)):
        (tmp_path / str(number)).mkdir()
        _scene(8, (300, 200)).save(tmp_path / str(number) / "same.jpg", quality=quality)
    first = list(keep(_source(), tmp_path / "0", tmp_path / "out", hashes))
    second = list(keep(_source(), tmp_path / "1", tmp_path / "out", hashes))
    assert (len(first), len(second)) == (1, 0)


def test_different_pictures_have_far_hashes() -> None:
    codes = [difference_hash(_scene(seed)) for seed in range(6)]
    assert all(code is not None for code in codes)
    known = [code for code in codes if code is not None]
    apart = [(a ^ b).bit_count() for i, a in enumerate(known) for b in known[:i]]
    assert min(apart) > 3


def test_a_file_goes_to_the_first_part_that_fits() -> None:
    stamps = next(s for s in CONFIG.photos if s.package == "tuxpaint-stamps-default")
    assert stamps.part_of("usr/share/tuxpaint/stamps/food/fruit/apple.png") == "stamps-food"
    assert stamps.part_of("usr/share/tuxpaint/stamps/vehicles/auto.png") == "stamps-things"
    assert stamps.part_of("usr/share/doc/readme.png") is None


def test_every_photograph_source_states_version_and_licence() -> None:
    for source in CONFIG.photos:
        assert source.version
        assert source.licence
    with pytest.raises(KeyError):
        CONFIG.photo_split("no such part")


def test_a_wrong_key_in_the_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match="shares_"):
        StrangersConfig.model_validate({**CONFIG.model_dump(), "shares_": {}})


@needs_fonts
def test_held_out_fonts_are_not_training_fonts() -> None:
    for script in ("zh", "en"):
        train = font_files(script, False, CONFIG.held_out_fonts)
        held_out = font_files(script, True, CONFIG.held_out_fonts)
        assert not set(train) & set(held_out)


def test_the_words_are_the_cards_without_their_marks() -> None:
    for script in ("zh", "en"):
        pool = lines(script)
        assert len(pool) > 200
        assert not any("[s1]" in line for line in pool)


def test_a_sheet_in_perspective_covers_the_middle_and_leaves_the_corners() -> None:
    scene = in_perspective(
        np.random.default_rng(2),
        np.full((50, 60, 3), 250, np.uint8),
        np.zeros((200, 240, 3), np.uint8),
        0.05,
    )
    assert scene[100, 120].min() == 250
    assert scene[0, 0].max() == 0


@needs_fonts
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_page_says_something_in_its_layout(layout: str) -> None:
    page = html(layout, np.random.default_rng(1))
    assert page == html(layout, np.random.default_rng(1))
    body = page.split("<body>")[1]
    assert len(body) > 300, "an unknown layout has an empty body"
    assert "undefined" not in body


@needs_fonts
@pytest.mark.browser
def test_the_browser_takes_one_screenshot_per_layout(tmp_path: Path) -> None:
    # A thread of its own: other tests of the session may keep a browser's loop in this one.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(take, tmp_path, 1, 1).result() == len(LAYOUTS)
    for layout in LAYOUTS:
        with Image.open(tmp_path / "screens" / layout / "000.png") as image:
            assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.data
def test_phone_scenes_of_the_two_sides_photograph_different_patients(data_dir: Path) -> None:
    sides = [MedicalImages.read(data_dir, held_out, per_kind=12) for held_out in (False, True)]
    for kind, images in sides[0].of.items():
        codes = {image.tobytes() for image in images}
        assert not codes & {image.tobytes() for image in sides[1].of[kind]}


@pytest.mark.data
@pytest.mark.parametrize("draw", STAGED, ids=lambda draw: draw.__name__)
def test_a_phone_scene_is_a_picture(draw: object, data_dir: Path, folder: Path) -> None:
    studio = Studio(
        MedicalImages.read(data_dir, False, per_kind=3),
        photographs.Photographs.read(folder, CONFIG, "train"),
    )
    assert callable(draw)
    picture = draw(np.random.default_rng(1), studio)
    assert picture.dtype == np.uint8
    assert picture.std() > 5
