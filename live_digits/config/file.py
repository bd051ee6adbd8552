"""The file that settings are written in: found, read, checked line by line, written back.

`config.yaml` beside the package documents every setting for users and is what the defaults are (a
test holds the two together); a user's own file may hold any subset.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import platformdirs
import yaml

from live_digits.config.settings import (
    Settings,
    SettingSpec,
    as_dict,
    checked_value,
    nearest,
    option_of,
    profile_defaults,
    sections,
    value_text,
)
from live_digits.core.errors import ConfigError
from live_digits.core.package_data import data_folder
from live_digits.core.safe_files import replacing
from live_digits.core.safe_yaml import YAML_FAULTS, UnsafeYamlError, check_yaml, read_bytes
from live_digits.core.sanitize import sanitize

_LARGEST = 200_000
"""Most characters of a config file."""
_TOLD = (
    ("model", "name", "model"),
    ("hands", "model", "hand model"),
    ("recording", "folder", "recordings in"),
    ("source", "max_megapixels", "megapixels at most"),
)
"""Settings that decide what runs, where files are written and how much memory a picture may take,
and what they are called."""


def default_config_path() -> Path:
    """The documented config.yaml that comes with the program."""
    return data_folder() / "config.yaml"


def find_config() -> Path | None:
    """The user's config file: config.yaml in the working folder, else in the user's own config
    folder; None where there is neither."""
    for path in (Path("config.yaml"), user_config_path()):
        if path.is_file():
            return path
    return None


def user_config_path() -> Path:
    """Where a config file is made for a user who has none."""
    return platformdirs.user_config_path("live_digits", appauthor=False) / "config.yaml"


def _places_of(node: Any) -> dict[tuple[str, ...], tuple[int, str]]:
    """The line (from 1) of every section and key of a YAML mapping node, and the key's value as it
    is written ("" for what is no scalar)."""
    places: dict[tuple[str, ...], tuple[int, str]] = {}

    def note(path: tuple[str, ...], key: yaml.Node, value: yaml.Node) -> None:
        line = key.start_mark.line + 1
        if path in places:
            raise ConfigError(f"line {line}: {value_text('.'.join(path))} stands twice; keep one")
        places[path] = line, str(value.value) if isinstance(value, yaml.ScalarNode) else ""

    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            continue
        note((str(key.value),), key, value)
        for inner, setting in value.value if isinstance(value, yaml.MappingNode) else ():
            if isinstance(inner, yaml.ScalarNode):
                note((str(key.value), str(inner.value)), inner, setting)
    return places


def _as_meant(section: str, key: str, value: Any, written: str) -> Any:
    """A text that YAML takes for something else (a folder 2026-01-01, a mode `off`) as written."""
    known = sections()[section]
    default = getattr(known(), key, None)
    if not written or not isinstance(default, str):
        return value
    if isinstance(value, bool):
        return written if written in option_of(known, key).choices else value
    return written if isinstance(value, (int, float, date)) else value


def _text_of(path: Path) -> str:
    """The text of a config file. Raises OSError, UnicodeDecodeError."""
    content = read_bytes(path, 4 * _LARGEST)  # no character has more than four bytes
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()


def parse(text: str, name: str = "config") -> dict[str, dict[str, Any]]:
    """The settings that a YAML text holds, each checked. Raises ConfigError with the line."""
    if len(text) > _LARGEST:
        raise ConfigError(
            f"{name} has {len(text)} characters; a config file has at most {_LARGEST}"
        )
    try:
        check_yaml(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(e, "problem", None) or e).split())
        raise ConfigError(f"{name}{where}: not valid YAML: {what}") from e
    except UnsafeYamlError as e:
        raise ConfigError(f"{name}, {e}; a config file is sections of plain settings") from e
    except YAML_FAULTS as e:
        raise ConfigError(f"{name}: not a config file: {type(e).__name__}: {e}") from e
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{name} is no mapping of sections; expected lines such as 'pipeline:'")
    try:
        places = _places_of(node)
    except ConfigError as e:
        raise ConfigError(f"{name}, {e}") from e
    found: dict[str, dict[str, Any]] = {}
    for title, entries in content.items():
        section = title if isinstance(title, str) else value_text(title)
        line, _ = places.get((section,), (0, ""))
        where = f"{name}, line {line}" if line else name
        if section not in sections():
            known = sections()
            raise ConfigError(
                f"{where}: unknown section {value_text(section)}{nearest(section, known)}; there "
                f"are {', '.join(known)}"
            )
        if entries is None:
            continue
        if not isinstance(entries, dict):
            raise ConfigError(
                f"{where}: {section} is {value_text(entries)}, expected settings under it"
            )
        for label, value in entries.items():
            key = label if isinstance(label, str) else value_text(label)
            line, written = places.get((section, key), (line, ""))
            try:
                value = _as_meant(section, key, value, written)
                checked = checked_value(section, key, value)
            except ConfigError as e:
                raise ConfigError(f"{name}, line {line}: {e}") from e
            found.setdefault(section, {})[key] = checked
    return found


def parse_override(text: str) -> tuple[str, str, Any]:
    """`section.key=value` of the command line. Raises ConfigError."""
    path, sign, raw = text.partition("=")
    section, dot, key = path.strip().partition(".")
    if not sign or not dot:
        raise ConfigError(f"--set {text!r}: expected section.key=value, such as pipeline.blur=5")
    try:
        if len(raw) > _LARGEST:
            raise ConfigError(f"--set {path.strip()}: the value has {len(raw)} characters")
        check_yaml(raw)
        value = yaml.safe_load(raw)
    except (yaml.YAMLError, *YAML_FAULTS):
        value = raw
    default = getattr(sections()[section](), key, None) if section in sections() else None
    if isinstance(default, str):
        value = raw.strip()
    return section, key, checked_value(section, key, value)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the settings that a config file holds, each checked. Raises ConfigError."""
    try:
        text = _text_of(path)
    except FileNotFoundError as e:
        raise ConfigError(f"no config file {path}; leave --config out for the defaults") from e
    except (OSError, UnicodeDecodeError) as e:
        reason = getattr(e, "strerror", None) or e
        raise ConfigError(f"config file {path} cannot be read: {reason}") from e
    return parse(text, str(path))


def chosen_by(path: Path) -> str:
    """Returns a line on a config file that nobody named: which one, and what of `_TOLD` it chooses;
    nothing for the program's own, in a checkout, that chooses none. Raises ConfigError."""
    found = read(path)
    own = default_config_path()
    if own.is_file() and path.samefile(own):
        usual = as_dict(Settings())
        found = {
            section: {k: v for k, v in entries.items() if v != usual[section][k]}
            for section, entries in found.items()
        }
        if not any(found.get(section, {}).get(key) for section, key, _ in _TOLD):
            return ""
    chosen = [
        f"{what} {sanitize(str(found[section][key]))}"
        for section, key, what in _TOLD
        if found.get(section, {}).get(key)
    ]
    return f"settings of {sanitize(str(path))}" + ": " * bool(chosen) + ", ".join(chosen)


def load(
    path: Path | None = None,
    overrides: Iterable[str] = (),
    profile: str | None = None,
    values: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    """The settings of a run: defaults of the profile, then the file, then `values` by (section,
    key), then `section.key=value` overrides; `profile` is the command line's own choice. A file's
    pipeline belongs to the file's profile: under another profile it does not count.

    Raises ConfigError for anything that is unknown, of the wrong type or out of range.
    """
    found = {} if path is None else read(path)
    asked: dict[str, dict[str, Any]] = {}
    for (section, key), value in (values or {}).items():
        asked.setdefault(section, {})[key] = checked_value(section, key, value)
    for text in overrides:
        section, key, value = parse_override(text)
        asked.setdefault(section, {})[key] = value
    if profile is not None:
        asked.setdefault("pipeline", {})["profile"] = checked_value("pipeline", "profile", profile)
    mine = found.get("pipeline", {}).get("profile", "paper")
    if asked.get("pipeline", {}).get("profile", mine) != mine:
        found.pop("pipeline", None)
    for section, entries in asked.items():
        found.setdefault(section, {}).update(entries)
    chosen = found.get("pipeline", {}).get("profile", "paper")
    base = {"pipeline": profile_defaults(chosen)}
    parts = {
        name: replace(base.get(name, kind()), **found.get(name, {}))
        for name, kind in sections().items()
    }
    return Settings(**parts)


def write_back(path: Path, changes: Mapping[tuple[str, str], Any]) -> None:
    """Writes settings into a config file and keeps its comments, order and all else. A file that is
    not there is begun from the documented one. Raises ConfigError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    try:
        source = path if path.is_file() else default_config_path()
        text = _text_of(source)
        parse(text, str(source))
        content = editor.load(text) or {}
        for (section, key), value in changes.items():
            if content.get(section) is None:
                content[section] = {}
            value = checked_value(section, key, value)
            # Unquoted, `yes` and `off` would come back as true and false.
            bare = not isinstance(content[section].get(key), ScalarString)
            quoted = isinstance(value, str) and bare
            content[section][key] = DoubleQuotedScalarString(value) if quoted else value
        out = io.StringIO()
        editor.dump(content, out)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A config kept elsewhere and linked to stays so: its own file is written.
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target is not path and not target.is_file():
            raise ConfigError(
                f"the settings cannot be written to {path}: it is a link to {target}, which is no "
                "file; remove the link"
            )
        with replacing(target) as scratch:
            scratch.write_text(out.getvalue(), encoding="utf-8")
    except (OSError, UnicodeDecodeError, YAMLError) as e:
        raise ConfigError(f"the settings cannot be written to {path}: {e}") from e


def documented() -> str:
    """The text of config.yaml: every setting with its help, range and default."""
    lines = [
        "# live_digits: every setting with its default.",
        "# A file of your own may hold any subset: put it beside your work as config.yaml, or name",
        "# it with --config. The key w in the window writes the sliders back here.",
    ]
    for section, kind in sections().items():
        lines += ["", f"# {' '.join((kind.__doc__ or '').split())}", f"{section}:"]
        for f in fields(kind):
            option: SettingSpec = f.metadata["option"]
            allowed = "" if option.allowed() == "any text" else f" ({option.allowed()})"
            value = getattr(kind(), f.name)
            written = json.dumps(value) if isinstance(value, (str, bool)) else f"{value:g}"
            if isinstance(value, float) and "." not in written:
                written += ".0"
            lines += [f"  # {option.help}{allowed}", f"  {f.name}: {written}"]
    return "\n".join(lines) + "\n"
