"""Settings: declared once, with ranges that are kept and sliders that say the same."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
from config_kit import EVERY, STUDY, default, option, refusal
from hypothesis import given
from hypothesis import strategies as st

from live_digits.config.file import load, parse
from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    SettingSpec,
    checked_value,
    from_slider,
    option_of,
    profile_defaults,
    slider_max,
    to_slider,
)
from live_digits.core.errors import ConfigError


@pytest.mark.parametrize(("section", "key"), EVERY)
def test_the_limits_are_inclusive_and_named_when_passed(section: str, key: str) -> None:
    o = option(section, key)
    for choice in o.choices:
        assert parse(f"{section}:\n  {key}: {choice}") == {section: {key: choice}}
    if o.choices:
        assert o.allowed() in refusal(f"{section}:\n  {key}: none_of_them")
    if o.low is None or o.high is None:
        return
    step = 1 if isinstance(default(section, key), int) else 0.001
    for inside in (o.low, o.high):
        assert checked_value(section, key, type(default(section, key))(inside)) == inside
    for outside in (o.low - step, o.high + step):
        value = type(default(section, key))(outside)
        message = refusal(f"# one\n{section}:\n  {key}: {value}")
        assert message.startswith(f"my.yaml, line 3: {section}.{key} is {value}, expected ")
        assert f"{o.low:g} to {o.high:g}" in message


@pytest.mark.parametrize("blur", [2, 20, 70])
def test_an_even_blur_is_refused_as_odd(blur: int) -> None:
    assert "1 to 71, odd" in refusal(f"pipeline: {{blur: {blur}}}")


def test_numbers_are_finite_everywhere() -> None:
    for section, key in EVERY:
        if isinstance(default(section, key), float):
            for value in (math.nan, math.inf, -math.inf, 10**400):
                with pytest.raises(ConfigError, match=f"{section}.{key}"):
                    checked_value(section, key, value)


# --- the published study ---


def test_classic_is_the_published_study() -> None:
    classic = asdict(profile_defaults("classic"))
    assert classic == STUDY | {"profile": "classic"}
    assert load(profile="classic").pipeline == profile_defaults("classic")
    assert load(overrides=["pipeline.profile=classic"]).pipeline == profile_defaults("classic")


# --- sliders ---

BARS = [option_of(PipelineSettings, name) for name in TRACKBARS]


def test_the_sliders_are_the_studys_parameters() -> None:
    assert tuple(STUDY) == TRACKBARS
    assert [slider_max(bar) for bar in BARS] == [35, 255, 6, 2, 14, 8, 255]


@pytest.mark.parametrize("name", TRACKBARS)
def test_every_position_is_one_permitted_value_and_back(name: str) -> None:
    bar = option_of(PipelineSettings, name)
    values = [from_slider(bar, position) for position in range(slider_max(bar) + 1)]
    assert [checked_value("pipeline", name, v) for v in values] == values
    assert [to_slider(bar, v) for v in values] == list(range(len(values)))
    assert len(set(values)) == len(values)
    assert (min(values), max(values)) == (bar.choices[0] if bar.choices else bar.low,
                                          bar.choices[-1] if bar.choices else bar.high)  # fmt: skip


def test_blur_position_k_is_kernel_2k_plus_1() -> None:
    blur = option_of(PipelineSettings, "blur")
    assert [from_slider(blur, k) for k in range(36)] == [2 * k + 1 for k in range(36)]
    aperture = option_of(PipelineSettings, "canny_aperture")
    assert [from_slider(aperture, k) for k in range(3)] == [3, 5, 7]


@given(st.sampled_from(BARS), st.integers(-(10**6), 10**6))
def test_positions_and_values_outside_become_the_nearest_inside(
    bar: SettingSpec, any_int: int
) -> None:
    low, high = (bar.choices or (bar.low, bar.high))[0], (bar.choices or (bar.low, bar.high))[-1]
    assert low <= from_slider(bar, any_int) <= high
    nearest = from_slider(bar, to_slider(bar, any_int))
    for position in range(slider_max(bar) + 1):
        assert abs(nearest - any_int) <= abs(from_slider(bar, position) - any_int)
