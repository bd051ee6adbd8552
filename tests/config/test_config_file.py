"""The config file: what it may hold, and whose wish wins."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_kit import EVERY, FILES, STUDY, default, refusal, written
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from live_digits.config.file import (
    default_config_path,
    documented,
    load,
    parse,
    parse_override,
    write_back,
)
from live_digits.config.settings import (
    PipelineSettings,
    Settings,
    as_dict,
    checked_value,
    option_of,
    profile_defaults,
    sections,
)
from live_digits.core.errors import ConfigError

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


# --- profiles and precedence ---


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
