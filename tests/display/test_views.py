"""Stages as pictures and sheets of crops: each complete, each in its shape."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from overlay_kit import SIZES, Text, paper

from live_digits.display import stage_views
from live_digits.display.contact_sheet import contact_sheet
from live_digits.display.keymap import VIEWS
from live_digits.display.stage_views import stage_view
from live_digits.vision.stages import StageImages

# --- stage views ---


def stages(width: int, height: int) -> StageImages:
    shades = (40, 80, 120, 160, 250)
    return StageImages(*(np.full((height, width), shade, np.uint8) for shade in shades))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("working", [(1024, 576), (160, 120), (33, 77)])
def test_every_view_has_the_results_size(
    view: str, width: int, height: int, working: tuple[int, int]
) -> None:
    result = paper(width, height)
    before = result.copy()
    out = stage_view(stages(*working), view, result)
    assert out.shape == result.shape
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(result, before)


def test_each_view_shows_its_own_stage() -> None:
    result = paper(640, 480)
    seen = stages(320, 240)
    assert stage_view(seen, "result", result) is result
    for view in VIEWS[1:-1]:
        assert (stage_view(seen, view, result) == getattr(seen, view)[0, 0]).all()


def test_the_grid_shows_all_stages_with_their_names(texts: list[Text]) -> None:
    result = paper(960, 540, 220)
    out = stage_view(stages(320, 180), "grid", result)
    assert [t.text for t in texts] == list(VIEWS[:-1])
    assert all(t.inside() for t in texts)
    middles = [int(out[135 + 270 * row, 160 + 320 * c, 0]) for row in (0, 1) for c in range(3)]
    assert abs(middles[0] - 220) <= 20
    assert middles[1:] == [40, 80, 120, 160, 250]


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12])
def test_the_grid_has_room_for_any_number_of_stages(
    texts: list[Text], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    names = ["grey"] * count
    monkeypatch.setattr(stage_views, "VIEWS", (*names, "grid"))
    stage_view(stages(320, 180), "grid", paper(960, 540, 220))
    assert [t.text for t in texts] == names
    assert all(t.inside() for t in texts)


def test_a_tall_stage_keeps_its_shape_in_the_grid() -> None:
    seen = stages(100, 400)
    out = stage_view(seen, "grid", paper(600, 400))
    lit = (out[:200, 200:400, 0] == 40).any(axis=0)
    assert 45 <= np.count_nonzero(lit) <= 55


# --- the contact sheet ---


@pytest.mark.parametrize("count", [0, 1, 4, 11, 40])
def test_a_sheet_holds_every_crop_with_its_reading(texts: list[Text], count: int) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (count, 28, 28), np.uint8)
    labels = [f"{n % 10}  {n + 50}%" for n in range(count)]
    before = crops.copy()
    sheet = contact_sheet(crops, labels)
    np.testing.assert_array_equal(crops, before)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    assert [t.text for t in texts] == (labels or ["nothing found"])
    assert all(t.inside() for t in texts)
    for text, crop in zip(texts, crops, strict=False):
        x, y = text.x, text.base - 20 - 84
        np.testing.assert_array_equal(sheet[y + 1 : y + 84 : 3, x + 1 : x + 84 : 3, 1], crop)
    places = [(t.x, t.base) for t in texts]
    assert len(set(places)) == len(places)
    assert all(b.x >= a.right for a, b in pairwise(texts) if a.base == b.base)


def test_a_sheet_of_other_labels_than_crops_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        contact_sheet(np.zeros((2, 28, 28), np.uint8), ["1"])
