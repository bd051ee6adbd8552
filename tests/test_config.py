"""Settings: declared once, checked everywhere, written back without harm."""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from live_digits import config
from live_digits.config import (
    TRACKBARS,
    Option,
    PipelineSettings,
    Settings,
    as_dict,
    checked_value,
    default_config_path,
    documented,
    from_slider,
    load,
    option_of,
    parse,
    parse_override,
    profile_defaults,
    sections,
    slider_max,
    to_slider,
    write_back,
)
from live_digits.errors import ConfigError

EVERY = [(section, f.name) for section, kind in sections().items() for f in fields(kind)]
"""All settings: (section, key)."""

STUDY = {
    "blur": 21,
    "canny_low": 50,
    "canny_ratio": 2,
    "canny_aperture": 3,
    "dilate_kernel": 5,
    "dilate_iterations": 1,
    "threshold": 160,
}
"""The published study's parameters, as DESIGN.md gives them."""

PLAIN = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)


def option(section: str, key: str) -> Option:
    return option_of(sections()[section], key)


def default(section: str, key: str) -> Any:
    return getattr(sections()[section](), key)


def permitted(section: str, key: str) -> st.SearchStrategy[Any]:
    """All values that a setting may hold."""
    o = option(section, key)
    if o.choices:
        return st.sampled_from(o.choices)
    if isinstance(default(section, key), bool):
        return st.booleans()
    if o.low is None or o.high is None:
        return PLAIN
    if isinstance(default(section, key), float):
        return st.floats(o.low, o.high)
    count = int((o.high - o.low) // o.step)
    return st.integers(0, count).map(lambda k: int((o.low or 0) + k * o.step))


FILES = st.fixed_dictionaries(
    {},
    optional={
        section: st.fixed_dictionaries(
            {}, optional={f.name: permitted(section, f.name) for f in fields(kind)}
        )
        for section, kind in sections().items()
    },
)
"""What a user's file may hold: any subset of the settings."""


def refusal(text: str, name: str = "my.yaml") -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, name)
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- the documented file ---


def test_config_yaml_is_the_documented_text() -> None:
    assert default_config_path().read_text(encoding="utf-8") == documented()


def test_config_yaml_holds_every_setting_at_its_default() -> None:
    assert parse(documented()) == as_dict(Settings())
    assert load(default_config_path()) == Settings() == load()


def test_config_yaml_explains_every_setting_above_it() -> None:
    lines = documented().splitlines()
    for section, kind in sections().items():
        at = lines.index(f"{section}:")
        for f in fields(kind):
            at = next(i for i in range(at, len(lines)) if lines[i].startswith(f"  {f.name}: "))
            o = option_of(kind, f.name)
            assert lines[at - 1].startswith(f"  # {o.help}")
            assert (o.low is None and not o.choices) or f"({o.allowed()})" in lines[at - 1]


# --- what a file may hold ---


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_every_setting_round_trips(content: dict[str, dict[str, Any]]) -> None:
    found = parse(yaml.safe_dump(content, allow_unicode=True))
    assert found == {section: entries for section, entries in content.items() if entries}
    types = {type(default(s, k)) is type(v) for s, e in found.items() for k, v in e.items()}
    assert types <= {True}


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


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pipelin:\n  blur: 5", ["line 1", "'pipelin'", "did you mean 'pipeline'?", "recording"]),
        ("\n\ncamera:\n  width: 640", ["line 3", "'camera'", "there are source, pipeline"]),
        (
            "# mine\npipeline:\n  canny_low: 3\n  blurr: 5",
            ["line 4", "pipeline.blurr", "did you mean 'blur'?", "pipeline has blur, canny_low"],
        ),
        ("source: {width: 640, hight: 480}", ["line 1", "source.hight", "'height'"]),
        ("reading:\n  xyz: 1", ["line 2", "reading.xyz", "reading has confidence"]),
        ("pipeline:\n  profile: papier", ["line 2", "'papier'", "one of paper, classic"]),
        ("pipeline:\n  blur: 5\n  blur: 7", ["line 3", "pipeline.blur", "twice"]),
        ("reading:\n  confidence: 1\nreading:\n  confidence: 0", ["line 3", "reading", "twice"]),
        ("null: 1", ["my.yaml", "unknown section"]),
        ("pipeline:\n  5: 5", ["line 2", "pipeline.5"]),
    ],
)
def test_what_is_unknown_is_refused_by_name_line_and_nearest(text: str, parts: list[str]) -> None:
    message = refusal(text)
    assert message.startswith("my.yaml")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipeline:\n  blur: five", "is 'five', expected a whole number 1 to 71, odd"),
        ("pipeline:\n  blur: 5.0", "is 5.0, expected a whole number"),
        ("pipeline:\n  blur: '5'", "is '5', expected a whole number"),
        ("pipeline:\n  blur: true", "is True, expected a whole number"),
        ("pipeline:\n  blur:", "is None, expected a whole number"),
        ("pipeline:\n  blur: [5]", "is [5], expected a whole number"),
        ("pipeline:\n  blur: {a: 5}", "is {'a': 5}, expected a whole number"),
        ("reading:\n  confidence: high", "is 'high', expected a number 0 to 1"),
        ("source:\n  fps: .nan", "is nan, expected a number 1 to 240"),
        ("source:\n  fps: -.inf", "is -inf, expected a number 1 to 240"),
        ("window:\n  confidence: 1", "is 1, expected true or false"),
        ("window:\n  confidence: maybe", "is 'maybe', expected true or false"),
        ("recording:\n  folder: [a]", "is ['a'], expected a text, any text"),
        ("recording:\n  folder:", "is None, expected a text, any text"),
        ("model:\n  name: true", "is True, expected a text, any text"),
        ("hands:\n  mode: maybe", "is 'maybe', expected a text, one of auto, on, off"),
    ],
)
def test_wrong_types_are_refused_with_what_is_expected(text: str, expected: str) -> None:
    message = refusal(text)
    assert message.startswith("my.yaml, line 2: ")
    assert expected in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("source:\n  fps: 30", 30.0),
        ("reading:\n  confidence: 1", 1.0),
        ("reading:\n  confidence: 1e-3", 0.001),
        ("window:\n  confidence: no", False),
        ("hands:\n  mode: off", "off"),
        ("hands:\n  mode: on", "on"),
        ("model:\n  name: 7", "7"),
        ("model:\n  name: 1.50", "1.50"),
        ("recording:\n  folder: 2026-01-31", "2026-01-31"),
        ("recording:\n  folder: 12:30", "12:30"),
        ("recording:\n  folder: 007", "007"),
    ],
)
def test_values_are_taken_as_a_user_means_them(text: str, value: Any) -> None:
    (entries,) = parse(text).values()
    (found,) = entries.values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "pipeline:\n", "{}", "~"])
def test_an_empty_file_is_all_defaults(text: str, tmp_path: Path) -> None:
    assert load(written(tmp_path / "c.yaml", text)) == Settings()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("pipeline: &a\n  blur: 5", "line 1: anchors"),
        ("pipeline:\n  blur: &b 5\n  canny_low: *b", "line 2: anchors"),
        ("pipeline:\n  blur: !!int '5'", "line 2: anchors, aliases and tags"),
        ("pipeline: !!python/object/apply:os.getcwd []", "line 1: anchors, aliases and tags"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "line 1: anchors"),
        ("# " + "x" * 300_000, "at most 200000"),
        ("[" * 3000, "nested deeper than 16"),
        ("pipeline: {blur: 5", "line 1: not valid YAML"),
        ("pipeline:\n\tblur: 5", "line 2: not valid YAML"),
        ("pipeline: {}\n---\nreading: {}", "line 2: not valid YAML"),
        ("pipeline:\n  blur: \x01", "not valid YAML"),
        ("- pipeline", "no mapping of sections"),
        ("pipeline", "no mapping of sections"),
        ("pipeline: 5", "pipeline is 5, expected settings under it"),
        ("pipeline:\n- blur: 5", "expected settings under it"),
    ],
)
def test_what_is_no_plain_config_is_refused(text: str, part: str) -> None:
    assert part in refusal(text)


WORDS = st.sampled_from(
    [
        *sections(), *(key for _, key in EVERY), "\n", "\n", "  ", "  ", ": ", ": ", ":", "- ", "?",
        "{", "}", "[", "]", ",", "&a ", "*a", "!!int ", "!", "|", ">", "'", '"', "#", "%YAML 1.1",
        "---", "...", "<<", "=", "~", "0x" + "f" * 5000, "9" * 400, "9" * 5000, "1e999", ".inf",
        "1_0", "._", "0b_", "12:30", "2026-13-01", "2026-01-01T00:00:00+99:99", "yes", "5", "5.5",
        "\t", "\r", "\x00", "\ufeff", "\u2028", "\ud800", "\x85", "é",
    ]
)  # fmt: skip
TEXTS = st.text(max_size=200) | st.lists(WORDS, max_size=40).map("".join)
HUGE = "0x" + "f" * 5000


@settings(deadline=None, max_examples=300)
@given(TEXTS)
@example(f"pipeline:\n  blur: {HUGE}")
@example(f"source:\n  fps: {HUGE}")
@example(f"model:\n  name: {HUGE}")
@example(f"? {HUGE}\n: 1")
@example(f"pipeline:\n  ? {HUGE}\n  : 1")
@example(f"pipeline: [{HUGE}]")
@example('"pipe\\nline": 1')
@example('pipeline:\n  "bl\\nur": 1')
@example('"a\\n": 1\n"a\\n": 1')
@example("2026-13-01: 1")
def test_any_text_gives_settings_or_one_line_of_what_is_wrong(text: str) -> None:
    found: dict[str, dict[str, Any]] = {}
    message = "c.yaml"
    try:
        found = parse(text, "c.yaml")
    except ConfigError as e:
        message = str(e)
    assert message.startswith("c.yaml")
    assert "\n" not in message
    assert len(message) < 500
    for section, entries in found.items():
        for key, value in entries.items():
            assert checked_value(section, key, value) == value


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TEXTS.map(lambda t: t.encode("utf-8", "surrogatepass")) | st.binary(max_size=100))
@example(b"\xff\xfepipeline:")
def test_any_file_loads_or_is_refused_and_so_is_writing_to_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        assert isinstance(load(path), Settings)
    try:
        write_back(path, {("pipeline", "blur"): 9})
    except ConfigError:
        assert path.read_bytes() == content
    else:
        assert load(path).pipeline.blur == 9


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.sampled_from(EVERY))
@example("0x" + "f" * 5000, ("source", "fps"))
@example("2026-13-01", ("pipeline", "blur"))
@example("[" * 3000, ("pipeline", "blur"))
@example("!!int", ("pipeline", "blur"))
@example("[!!timestamp ]", ("pipeline", "blur"))
def test_any_override_is_taken_or_refused(text: str, at: tuple[str, str]) -> None:
    for override in (text, f"{at[0]}.{at[1]}={text}"):
        with contextlib.suppress(ConfigError):
            section, key, value = parse_override(override)
            assert checked_value(section, key, value) == value


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
def test_positions_and_values_outside_become_the_nearest_inside(bar: Option, any_int: int) -> None:
    low, high = (bar.choices or (bar.low, bar.high))[0], (bar.choices or (bar.low, bar.high))[-1]
    assert low <= from_slider(bar, any_int) <= high
    nearest = from_slider(bar, to_slider(bar, any_int))
    for position in range(slider_max(bar) + 1):
        assert abs(nearest - any_int) <= abs(from_slider(bar, position) - any_int)


# --- profiles and precedence ---


def test_classic_is_the_published_study() -> None:
    classic = asdict(profile_defaults("classic"))
    assert classic == STUDY | {"profile": "classic"}
    assert load(profile="classic").pipeline == profile_defaults("classic")
    assert load(overrides=["pipeline.profile=classic"]).pipeline == profile_defaults("classic")


@pytest.mark.parametrize("profile", ["clasic", "", "PAPER"])
def test_an_unknown_profile_is_refused(profile: str) -> None:
    for ask in (lambda: profile_defaults(profile), lambda: load(profile=profile)):
        with pytest.raises(ConfigError, match="classic"):
            ask()


def test_the_nearer_wish_wins(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c.yaml",
        "pipeline:\n  blur: 7\n  canny_low: 70\n  threshold: 77\nreading:\n  confidence: 0.7\n",
    )
    found = load(
        path,
        ["pipeline.blur=9", "model.name=dense"],
        values={("pipeline", "blur"): 11, ("pipeline", "canny_low"): 110, ("model", "name"): "x"},
    )
    assert (found.pipeline.blur, found.pipeline.canny_low, found.pipeline.threshold) == (9, 110, 77)
    assert found.pipeline.dilate_kernel == PipelineSettings().dilate_kernel
    assert (found.reading.confidence, found.model.name) == (0.7, "dense")


def test_a_files_pipeline_belongs_to_its_profile(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", "pipeline:\n  blur: 7\nreading:\n  confidence: 0.7\n")
    other = load(path, profile="classic")
    assert other.pipeline == profile_defaults("classic")
    assert other.reading.confidence == 0.7
    assert load(path, profile="paper").pipeline.blur == 7
    assert load(path, ["pipeline.blur=9"], "classic").pipeline.blur == 9


def test_a_file_may_choose_classic_and_change_a_part(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", "pipeline:\n  profile: classic\n  blur: 31\n")
    expected = STUDY | {"profile": "classic", "blur": 31}
    assert asdict(load(path).pipeline) == expected
    assert asdict(load(path, profile="classic").pipeline) == expected
    assert load(path, profile="paper").pipeline == PipelineSettings()


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfpipeline:\r\n  blur: 7\r\n")
    assert load(tmp_path / "c.yaml").pipeline.blur == 7


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "b.yaml"):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "override", ["", "blur=5", "pipeline.blur", "=5", "pipeline.blur=", "pipeline.blur=6"]
)
def test_a_wrong_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"expected|unknown"):
        load(overrides=[override])


def test_overrides_take_texts_as_they_stand() -> None:
    found = load(overrides=["hands.mode=off", "recording.folder= 2026-01-31 ", "model.name=a=b"])
    assert (found.hands.mode, found.recording.folder) == ("off", "2026-01-31")
    assert found.model.name == "a=b"


# --- writing back ---

MINE = """\
# my desk
reading:
  confidence: 0.8   # strict

pipeline:
  # the lamp is on the left
  canny_low: 33
  blur: 7  # measured
  profile: "paper"
"""


def test_writing_back_changes_the_values_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", MINE)
    write_back(path, {("pipeline", "blur"): 13, ("pipeline", "profile"): "classic"})
    assert path.read_text(encoding="utf-8") == MINE.replace("7  #", "13 #").replace(
        '"paper"', '"classic"'
    )
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_writing_back_adds_what_the_file_lacks(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", "# mine\npipeline:\n  blur: 7 # seven\nhands:\n")
    changes = {
        ("pipeline", "canny_low"): 99,
        ("hands", "mode"): "off",
        ("tracker", "expiry"): 0.5,
    }
    write_back(path, changes)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# mine\npipeline:\n  blur: 7 # seven\n")
    found = load(path)
    assert (found.pipeline.blur, found.pipeline.canny_low) == (7, 99)
    assert (found.hands.mode, found.tracker.expiry) == ("off", 0.5)


def test_a_new_file_begins_as_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "config.yaml"
    write_back(path, {("pipeline", "blur"): 9, ("reading", "confidence"): 0.75})
    old, new = documented().splitlines(), path.read_text(encoding="utf-8").splitlines()
    assert len(old) == len(new)
    differ = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert differ == [
        ("  blur: 5", "  blur: 9"),
        ("  confidence: 0.6", "  confidence: 0.75"),
    ]
    assert default_config_path().read_text(encoding="utf-8") == documented()


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(FILES, st.booleans())
@example({"tracker": {"expiry": 1e-05}}, True)
def test_what_is_written_back_loads_to_the_same(
    tmp_path: Path, content: dict[str, dict[str, Any]], begin_with_mine: bool
) -> None:
    path = tmp_path / "c.yaml"
    path.unlink(missing_ok=True)
    if begin_with_mine:
        written(path, MINE)
    changes = {(s, k): v for s, entries in content.items() for k, v in entries.items()}
    write_back(path, changes)
    found = as_dict(load(path))
    for (section, key), value in changes.items():
        assert found[section][key] == value
    if begin_with_mine and ("reading", "confidence") not in changes:
        assert found["reading"]["confidence"] == 0.8


@pytest.mark.parametrize("folder", ["yes", "off", "12:30", "007", "2026-01-31", "~", "1e5", "# a"])
def test_texts_that_look_like_something_else_stay_texts(tmp_path: Path, folder: str) -> None:
    bare = written(tmp_path / "bare.yaml", "recording:\n  folder: films\n")
    for path in (tmp_path / "new.yaml", written(tmp_path / "mine.yaml", MINE), bare):
        write_back(path, {("recording", "folder"): folder})
        assert load(path).recording.folder == folder


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (MINE, {("pipeline", "blur"): 6}),
        (MINE, {("pipeline", "blurr"): 5}),
        (MINE, {("pipeline", "blur"): 9, ("nothing", "at"): 1}),
        ("pipeline:\n  blurr: 5\n", {("pipeline", "blur"): 9}),
        ("pipeline: [", {("pipeline", "blur"): 9}),
    ],
)
def test_a_refused_write_leaves_the_file_alone(
    tmp_path: Path, text: str, changes: dict[tuple[str, str], Any]
) -> None:
    path = written(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigError):
        write_back(path, changes)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    written(tmp_path / "file", "")
    path = tmp_path / "file" / "config.yaml"
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        write_back(path, {("pipeline", "blur"): 9})
    assert str(path) in str(caught.value)


def test_the_working_folders_config_is_found_before_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    users = tmp_path / "home" / "config.yaml"
    monkeypatch.setattr(config, "user_config_path", lambda: users)
    assert config.find_config() is None
    users.parent.mkdir()
    written(users, "")
    assert config.find_config() == users
    written(tmp_path / "config.yaml", "")
    found = config.find_config()
    assert found is not None
    assert found.resolve() == (tmp_path / "config.yaml").resolve()


def test_numbers_are_finite_everywhere() -> None:
    for section, key in EVERY:
        if isinstance(default(section, key), float):
            for value in (math.nan, math.inf, -math.inf, 10**400):
                with pytest.raises(ConfigError, match=f"{section}.{key}"):
                    checked_value(section, key, value)
