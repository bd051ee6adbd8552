"""The goals' table: every figure of the program on sets that choose nothing, row by row.

    python experiments/goals.py RESULTS --shared SHARED [--rooms DIR] [--clips DIR] [--only ROWS]

Runs with the Python that lies beside the `live-digits` command that is measured. Pictures, clips
and live runs go through the command alone; what no command tells (crop network, candidates, pages
of words, demo) through the package or the scripts beside it. Each row is printed once done, kept
in RESULTS/ROW.json with the readings it came from; RESULTS/table.json holds all rows so far.
Live rows need a machine that is otherwise idle: they tell how many frames were shown.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Json = dict[str, Any]

SHEET_ENLARGED = 4
"""How much larger than 28×28 a digit is drawn on a sheet."""
SHEET_COLUMNS, SHEET_ROWS = 8, 5
ALONE_WIDTH, ALONE_HEIGHT = 640, 480
"""Size of a sheet that holds one digit alone, pixels."""
PAPER_LEVEL, INK_LEVEL = 228, 45
"""Grey of a sheet's paper and of its ink, as in roundtrip.py."""
CANDIDATE_IOU = 0.5
"""A candidate stands for a true digit from this overlap."""
PICTURES = {".jpg", ".jpeg", ".png"}
FONT_FILES = {".ttf", ".otf", ".woff"}
NOT_A_DIGIT = 10
"""Answers before this one are the digits 0…9."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies."""

    command: Path
    results: Path
    shared: Path
    rooms: Path
    clips: Path
    fonts: Path | None
    experiments: Path
    repository: Path


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what it is, its goal, and what measures it."""

    title: str
    goal: str
    measure: Callable[[Places, str], tuple[str, Json]]


# --- readings through the command -------------------------------------------------------------


def ask(places: Places, arguments: Sequence[str | Path], name: str) -> list[Json]:
    """Runs the command with `--json` and keeps what it printed as RESULTS/NAME.jsonl.

    Args:
        arguments: all but `--json`.

    Raises:
        RuntimeError: the command failed; 1, something was left out, is told but is no failure.
    """
    file = places.results / f"{name}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        done = subprocess.run(
            [places.command, *arguments, "--json"], stdout=out, stderr=subprocess.PIPE, text=True
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(map(str, arguments[:2]))}: {done.stderr.strip()[-500:]}")
    if done.returncode:
        print(f"    {done.stderr.strip()[-200:]}", file=sys.stderr)
    return read_lines(file)


def read_lines(file: Path) -> list[Json]:
    """The objects of a file that holds one a line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def run_live(places: Places, clip: Path, name: str) -> list[Json]:
    """A live run over a whole clip, as fast as it plays."""
    return ask(places, ("run", "--source", clip, "--no-window"), name)


def script_json(script: Path, *arguments: str | Path) -> Json:
    """What one of the shared scorers prints last."""
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


# --- photographs ------------------------------------------------------------------------------


def measure_photographs(places: Places, name: str) -> tuple[str, Json]:
    folder = places.shared / {"set1": "photos", "set2": "photos2", "set3": "photos3"}[name]
    readings = ask(places, ("read", *pictures_of(folder)), name)
    scores = script_json(
        places.shared / "score.py",
        folder / "truth.json", places.results / f"{name}.jsonl", "--json",
    )  # fmt: skip
    s = scores["all"]
    found = mistakes_of(folder, readings)
    kinds = Counter((c, m["kind"]) for m in found for c in (m["category"], "all"))
    by_category: dict[str, Json] = {}
    for category, score in scores.items():
        counts = {kind: kinds[category, kind] for kind in ("missed", "misread", "false")}
        by_category[category] = {"truth": score["truth"], "f1": score["f1"], **counts}
    text = (
        f"F1 {s['f1']:.3f} / mean F1 {s['mean_f1']:.3f} / perfect {s['perfect_pictures']} of "
        f"{s['pictures']}; missed {kinds['all', 'missed']}, misread {kinds['all', 'misread']}, "
        f"false {kinds['all', 'false']} of {s['truth']}"
    )
    return text, {"score": scores, "categories": by_category, "mistakes": found}


def pictures_of(folder: Path) -> list[Path]:
    """The pictures in a folder and below, in the order of their paths."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)


def iou(a: Sequence[int], b: Sequence[int]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return 0.0 if w <= 0 or h <= 0 else w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


def pairs_of(truth: Sequence[Json], read: Sequence[Json]) -> list[tuple[int, int]]:
    """Pairs truth with readings as score.py does: best overlap first, from 0.3 on."""
    overlaps = sorted(
        ((iou(t["box"], r["box"]), i, j) for i, t in enumerate(truth) for j, r in enumerate(read)),
        reverse=True,
    )
    pairs: dict[int, int] = {}
    for overlap, i, j in overlaps:
        if overlap >= 0.3 and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs.items())


def mistakes_of(folder: Path, readings: Sequence[Json]) -> list[Json]:
    """Every digit of a folder's truth.json missed or misread, and each read where none is."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    by_name = {Path(r["source"]).name: r["digits"] for r in readings}
    found: list[Json] = []
    for name, entry in sorted(truth.items()):
        true, read = entry["digits"], by_name.get(name, [])
        pairs = pairs_of(true, read)
        about = {"picture": name, "category": entry.get("category", "other")}

        def add(kind: str, box: Sequence[int], is_: int | None, digit: Json | None) -> None:
            found.append(
                about  # noqa: B023 (used at once)
                | {"kind": kind, "box": list(box), "truth": is_}
                | {"read": digit and digit["digit"], "confidence": digit and digit["confidence"]}
            )

        for i, j in pairs:
            if int(true[i]["digit"]) != read[j]["digit"]:
                add("misread", true[i]["box"], int(true[i]["digit"]), read[j])
        matched, used = {i for i, _ in pairs}, {j for _, j in pairs}
        for i, t in enumerate(true):
            if i not in matched:
                add("missed", t["box"], int(t["digit"]), None)
        for j, r in enumerate(read):
            if j not in used:
                add("false", r["box"], None, r)
    return found


def measure_candidates(places: Places, name: str) -> tuple[str, Json]:
    """The share of true digits that finding offers a box for, on the three sets."""
    from live_digits.config.settings import Settings
    from live_digits.vision.detection import detect_candidates

    shares: dict[str, Json] = {}
    for key, sub in (("set1", "photos"), ("set2", "photos2"), ("set3", "photos3")):
        folder = places.shared / sub
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        there = total = boxes = 0
        for picture, entry in truth.items():
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            image = np.asarray(cv2.imread(str(folder / picture), flags), np.uint8)
            offered = [
                c.box.as_list() for c in detect_candidates(image, Settings().pipeline).candidates
            ]
            boxes += len(offered)
            total += len(entry["digits"])
            there += sum(
                any(iou(d["box"], b) >= CANDIDATE_IOU for b in offered) for d in entry["digits"]
            )
        shares[key] = {"share": there / total, "without": total - there, "boxes": boxes}
    text = ", ".join(f"{k} {s['share']:.2%} ({s['without']} without)" for k, s in shares.items())
    return text, shares


def measure_rooms(places: Places, name: str) -> tuple[str, Json]:
    readings = ask(places, ("read", *pictures_of(places.rooms)), name)
    by_package: dict[str, list[int]] = defaultdict(list)
    worst: list[tuple[int, str]] = []
    for r in readings:
        path = Path(r["source"]).relative_to(places.rooms)
        by_package[path.parts[0]].append(len(r["digits"]))
        worst.append((len(r["digits"]), str(path)))
    total, marked = sum(n for n, _ in worst), sum(n > 0 for n, _ in worst)
    packages = {p: {"pictures": len(n), "false": sum(n)} for p, n in sorted(by_package.items())}
    figures = {"pictures": len(worst), "false": total, "a_picture": total / len(worst)}
    text = (
        f"{total / len(worst):.3f} false digits a picture ({total} on {marked} of {len(worst)} "
        f"pictures, {len(packages)} packages)"
    )
    worst.sort(reverse=True)
    return text, figures | {"with_any": marked, "packages": packages, "worst": worst[:20]}


# --- words, demo, constants -------------------------------------------------------------------


def measure_words(places: Places, name: str) -> tuple[str, Json]:
    """words.py with its own font, and with the fonts that training may not have held out."""
    own = words_of(places)
    text, figures = f"F1 {own['f1']:.3f} (Pillow's font)", {"pillow": own}
    if places.fonts:
        theirs = words_of(places, places.fonts)
        figures["fonts"] = theirs
        text += f", {theirs['f1']:.3f} ({theirs['fonts']} fonts)"
    return text, figures


def words_of(places: Places, fonts: Path | None = None) -> Json:
    extra = ("--fonts", str(fonts)) if fonts else ()
    lines = output_of(places.experiments / "words.py", *extra).splitlines()[1:]
    kinds: dict[str, Json] = {}
    for line in lines:
        pages, kind, true, read, recall, precision, f1 = line.split()
        kinds[kind] = {
            "pages": int(pages),
            "true": int(true),
            "read": int(read),
            "right": round(int(true) * float(recall)),
            "recall": float(recall),
            "precision": float(precision),
            "f1": float(f1),
        }
    total = {n: sum(k[n] for k in kinds.values()) for n in ("true", "read", "right")}
    files = [p for p in fonts.rglob("*") if p.suffix in FONT_FILES] if fonts else []
    f1_all = 2 * total["right"] / (total["true"] + total["read"])
    return total | {"f1": f1_all, "fonts": len(files), "kinds": kinds}


def output_of(script: Path, *arguments: str) -> str:
    """What a benchmark of the project prints."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE, text=True, check=True, cwd=script.parent,
    )  # fmt: skip
    return done.stdout


def measure_demo(places: Places, name: str) -> tuple[str, Json]:
    printed = output_of(places.experiments / "live.py", "--seconds", "20")
    changes = [int(n) for n in re.findall(r"label changes (\d+)", printed)]
    switches = [int(n) for n in re.findall(r"id switches (\d+)", printed)]
    false = [float(n) for n in re.findall(r"false boxes a frame ([\d.]+)", printed)]
    right = [float(n) for n in re.findall(r"mean ([\d.]+)", printed)]
    text = (
        f"{len(changes)} seeds: label changes {sum(changes)}, id switches {sum(switches)}, false "
        f"boxes a frame {max(false):.3f} at most, right {min(right):.4f} at least"
    )
    return text, {"changes": changes, "switches": switches, "false": false, "printed": printed}


def measure_constants(places: Places, name: str) -> tuple[str, Json]:
    printed = output_of(places.shared / "constants.py", str(places.repository / "live_digits"))
    return f"{printed.split()[-3]} numbers", {"printed": printed}


# --- clips and live ---------------------------------------------------------------------------


def measure_hualili(places: Places, name: str) -> tuple[str, Json]:
    clip = places.shared / "photos2" / "videos" / "hualili_digits1.mp4"
    wanted = json.loads((clip.parent / "truth.json").read_text(encoding="utf-8"))[clip.name][
        "lines"
    ]
    figures: Json = {}
    for how, readings in (
        ("read", ask(places, ("read", clip), name)),
        ("live", run_live(places, clip, f"{name}_live")),
    ):
        right = [r["lines"] == wanted for r in readings]
        numbers = [{w for line in r["lines"] for w in line.split()} - set(wanted) for r in readings]
        allowed = Counter("".join(wanted))
        false = [bool(Counter(str(d["digit"]) for d in r["digits"]) - allowed) for r in readings]
        figures[how] = {
            "frames": len(readings), "right": sum(right) / max(1, len(readings)),
            "frames_with_another_number": sum(map(bool, numbers)),
            "frames_with_a_wrong_or_extra_digit": sum(false),
            "others": Counter(w for n in numbers for w in n).most_common(12),
        }  # fmt: skip
    r, live = figures["read"], figures["live"]
    text = (
        f"{r['right']:.1%} of {r['frames']} frames right, another number in "
        f"{r['frames_with_another_number']}, a wrong or extra digit in "
        f"{r['frames_with_a_wrong_or_extra_digit']}; live {live['right']:.1%} of {live['frames']}"
    )
    return text, figures


def measure_hands(places: Places, name: str) -> tuple[str, Json]:
    figures: Json = {}
    for clip in sorted((places.shared / "hands").glob("*.mp4")):
        for how, readings in (
            ("read", ask(places, ("read", clip), f"{name}_{clip.stem}_read")),
            ("live", run_live(places, clip, f"{name}_{clip.stem}_live")),
        ):
            shown = [(d["track"], d["digit"]) for r in readings for d in r["digits"]]
            figures[f"{clip.stem} {how}"] = {
                "frames": len(readings),
                "false": len(shown),
                "labels": len(set(shown)),
                "frames_with_any": sum(bool(r["digits"]) for r in readings),
            }
    labels = sum(f["labels"] for f in figures.values())
    frames = sum(f["frames_with_any"] for f in figures.values())
    each = ", ".join(f"{k} {f['labels']} ({f['frames']} frames)" for k, f in figures.items())
    return f"{labels} labels, in {frames} frames ({each})", figures


def measure_handheld(places: Places, name: str) -> tuple[str, Json]:
    clips = sorted(places.clips.glob("*.mp4"))
    if not clips:
        raise RuntimeError(f"{places.clips} holds no clip: make them with handheld.py make")
    shown = 0
    if name == "handheld":
        shown = len(ask(places, ("read", *clips), name))
    else:
        with (places.results / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for clip in clips:
                readings = run_live(places, clip, f"{name}_one")
                shown += len(readings)
                out.writelines(json.dumps(r) + "\n" for r in readings)
        (places.results / f"{name}_one.jsonl").unlink()
    score = script_json(
        places.shared / "handheld.py", "score", places.clips, places.results / f"{name}.jsonl"
    )
    frames = sum(map(len, json.loads((places.clips / "clips.json").read_text()).values()))
    text = (
        f"at rest F1 {score['f1_rest']:.3f} / false a frame {score['false_a_frame_at_rest']:.2f} / "
        f"label changes {score['label_changes_a_digit_minute_at_rest']:.1f} / wholly right "
        f"{score['frames_wholly_right_at_rest']:.2f}; moving F1 {score['f1_moving']:.3f} "
        f"({shown} of {frames} frames)"
    )
    return text, score | {"shown": shown, "frames": frames}


# --- lone digits ------------------------------------------------------------------------------


def enlarged(digit: Image) -> Image:
    """A digit white on black 28×28 → as large as it is drawn on a sheet."""
    side = digit.shape[0] * SHEET_ENLARGED
    return np.asarray(cv2.resize(digit, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def on_paper(ink: Image) -> Image:
    return np.asarray(np.rint(PAPER_LEVEL - ink * ((PAPER_LEVEL - INK_LEVEL) / 255)), np.uint8)


def sheets_of(digits: Image) -> Iterator[tuple[Image, list[list[int]]]]:
    """Sheets of 40 digits, and the cell of each."""
    cell = digits.shape[1] * SHEET_ENLARGED
    step = SHEET_COLUMNS * SHEET_ROWS
    for start in range(0, len(digits), step):
        page = np.zeros((SHEET_ROWS * cell, SHEET_COLUMNS * cell), np.uint8)
        cells = []
        for i, digit in enumerate(digits[start : start + step]):
            x, y = i % SHEET_COLUMNS * cell, i // SHEET_COLUMNS * cell
            page[y : y + cell, x : x + cell] = enlarged(digit)
            cells.append([x, y, cell, cell])
        yield on_paper(page), cells


def alone_of(digits: Image, seed: int = 0) -> Iterator[tuple[Image, list[list[int]]]]:
    """A sheet a digit, at a place of its own on it."""
    rng = np.random.default_rng(seed)
    cell = digits.shape[1] * SHEET_ENLARGED
    for digit in digits:
        page = np.zeros((ALONE_HEIGHT, ALONE_WIDTH), np.uint8)
        x = int(rng.integers(0, ALONE_WIDTH - cell))
        y = int(rng.integers(0, ALONE_HEIGHT - cell))
        page[y : y + cell, x : x + cell] = enlarged(digit)
        yield on_paper(page), [[x, y, cell, cell]]


def read_sheets(
    places: Places, sheets: Iterator[tuple[Image, list[list[int]]]], labels: Image, name: str
) -> Json:
    """How the command reads drawn digits whose cells are known.

    Args:
        sheets: pictures and the cells in them, in the order of `labels`.

    Returns:
        Shares: right (its digit and nothing else read in the cell), another (a digit that it is
        not is read there), refused (nothing is read there), double (its digit and one more).
    """
    folder = places.results / f"{name}_sheets"
    folder.mkdir(exist_ok=True)
    cells: dict[str, list[list[int]]] = {}
    for number, (page, theirs) in enumerate(sheets):
        file = folder / f"{number:05d}.png"
        cv2.imwrite(str(file), page)
        cells[file.name] = theirs
    readings = ask(places, ("read", folder), name)
    seen: list[list[int]] = []
    for r in sorted(readings, key=lambda r: str(r["source"])):
        for x, y, w, h in cells[Path(r["source"]).name]:
            inside = [
                d["digit"]
                for d in r["digits"]
                if x <= d["box"][0] + d["box"][2] / 2 < x + w
                and y <= d["box"][1] + d["box"][3] / 2 < y + h
            ]
            seen.append(inside)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    (places.results / f"{name}.jsonl").unlink()
    pairs = list(zip(seen, (int(n) for n in labels), strict=True))
    count = len(pairs)
    return {
        "count": count,
        "right": sum(s == [n] for s, n in pairs) / count,
        "another": sum(any(d != n for d in s) for s, n in pairs) / count,
        "refused": sum(not s for s, _ in pairs) / count,
        "double": sum(s == [n, n] for s, n in pairs) / count,
    }


def crop_answers(crops: Image) -> npt.NDArray[np.float32]:
    """The crop network's probabilities, N rows; the first ten columns are the digits."""
    from live_digits.reading import classifier

    return np.asarray(classifier.load("cnn").classify(crops), np.float32)


def shares_of_crops(crops: Image, labels: Image) -> Json:
    """What the crop network alone says of digits.

    Returns:
        right: most probable of all classes; another, refused: likewise; shown_wrong: another
        digit from `reading.confidence` on, whatever the rest.
    """
    from live_digits.config.settings import ReadingSettings

    p = crop_answers(crops)
    best, digit = p.argmax(axis=1), p[:, :NOT_A_DIGIT].argmax(axis=1)
    shown = p[:, :NOT_A_DIGIT].max(axis=1) >= ReadingSettings().confidence
    return {
        "count": len(labels),
        "right": float((best == labels).mean()),
        "another": float(((best != labels) & (best < NOT_A_DIGIT)).mean()),
        "refused": float((best >= NOT_A_DIGIT).mean()),
        "shown_wrong": float((shown & (digit != labels)).mean()),
    }


def measure_mnist(places: Places, name: str) -> tuple[str, Json]:
    """Digits on sheets of 40 and the crop network on the crops; or each on a sheet alone."""
    with np.load(places.shared / "data" / "mnist.npz", allow_pickle=False) as z:
        digits, labels = z["x_test"], z["y_test"]
    if name == "mnist_alone":
        figures = {"alone": read_sheets(places, alone_of(digits), labels, name)}
    else:
        figures = {
            "crops": shares_of_crops(digits, labels),
            "sheets": read_sheets(places, sheets_of(digits), labels, name),
        }
    parts = (f"{k} {v['another']:.2%} / {v['refused']:.2%}" for k, v in figures.items())
    return "; ".join(parts), figures


def measure_fresh(places: Places, name: str) -> tuple[str, Json]:
    from live_digits.training.datasets import normalised, test_arrays

    sets = {
        key: test_arrays(places.shared / "data" / file)
        for key, file in (("nsysu", "nsysu_digits.npz"), ("photo_chars", "photo_chars.npz"))
    }
    figures: Json = {}
    parts = []
    for key, (digits, labels) in sets.items():
        crops = shares_of_crops(normalised(digits), labels)
        figures[f"{key} crops"] = crops
        sheets = read_sheets(places, sheets_of(digits), labels, f"{name}_{key}")
        figures[f"{key} sheets"] = sheets
        figures[f"{key} alone"] = alone = read_sheets(
            places, alone_of(digits), labels, f"{name}_{key}_alone"
        )
        parts.append(
            f"{key} ({crops['count']}) crops {crops['right']:.1%} / {crops['shown_wrong']:.1%}, "
            f"sheets {sheets['right']:.1%} / {sheets['another']:.1%}, "
            f"alone {alone['right']:.1%} / {alone['another']:.1%}"
        )
    return "; ".join(parts), figures


# --- the table --------------------------------------------------------------------------------

ROWS: Mapping[str, Row] = {
    "set1": Row("set 1", "F1 ≥ 0.985 / perfect 45", measure_photographs),
    "set2": Row("set 2", "F1 ≥ 0.985 / mean F1 0.975 / perfect 43", measure_photographs),
    "set3": Row("set 3", "F1 ≥ 0.955 / perfect 13", measure_photographs),
    "candidates": Row(
        "candidates (IoU ≥ 0.5)", "99.5 % of sets 1 and 2, 98.5 % of 3", measure_candidates
    ),
    "rooms": Row("pictures without digits", "≤ 0.1 a picture", measure_rooms),
    "words": Row("drawn pages of words", "F1 ≥ 0.99", measure_words),
    "hualili": Row("hualili_digits1.mp4", "≥ 96 %, no false number", measure_hualili),
    "hands": Row("hands", "0 labels", measure_hands),
    "handheld": Row(
        "hand-held clips, read", "≥ 0.975 / ≤ 0.1 / ≤ 1 / ≥ 0.75; ≥ 0.96", measure_handheld
    ),
    "handheld_live": Row(
        "hand-held clips, live", "≥ 0.975 / ≤ 0.1 / ≤ 1 / ≥ 0.75; ≥ 0.94", measure_handheld
    ),
    "demo": Row("demo", "0, 0, 0", measure_demo),
    "mnist": Row("MNIST test, another / refused", "≤ 0.25 % / 0.2 %", measure_mnist),
    "mnist_alone": Row("MNIST test, one a sheet", "≤ 0.25 % / 0.2 %", measure_mnist),
    "fresh": Row(
        "fresh hands, right / shown wrong",
        "nsysu ≥ 97.5 / 1.5 %, photo_chars ≥ 99 / 0.7 %",
        measure_fresh,
    ),
    "constants": Row("numbers somebody had to choose", "≤ 90", measure_constants),
}


def measured(places: Places, name: str) -> None:
    """Measures a row, prints it and keeps it."""
    row = ROWS[name]
    begun, load = time.perf_counter(), os.getloadavg() if hasattr(os, "getloadavg") else ()
    text, figures = row.measure(places, name)
    seconds = time.perf_counter() - begun
    print(f"{row.title:32s} {text}\n{'':32s} goal {row.goal}  [{seconds:.0f} s]", flush=True)
    figures = {"row": row.title, "text": text, "goal": row.goal, "seconds": round(seconds, 1),
               "load": load} | figures  # fmt: skip
    file = places.results / f"{name}.json"
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    table = {n: json.loads(f.read_text(encoding="utf-8"))["text"] for n in ROWS
             if (f := places.results / f"{n}.json").is_file()}  # fmt: skip
    (places.results / "table.json").write_text(
        json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def places_of(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Places:
    """Checks what the command line names."""
    python = Path(sys.executable)
    command = given.command or python.parent / "live-digits"
    if not command.is_file():
        parser.error(f"no command {command}: name it with --command")
    if command.parent.resolve() != python.parent.resolve():
        parser.error(
            f"{command} is of another environment than {python}: run {command.parent}/python"
        )
    import live_digits

    repository = Path(live_digits.__file__).parents[1]
    given.results.mkdir(parents=True, exist_ok=True)
    fonts = given.fonts if given.fonts and given.fonts.is_dir() else None
    return Places(
        command, given.results.resolve(), given.shared.resolve(), given.rooms.resolve(),
        given.clips.resolve(), fonts.resolve() if fonts else None,
        repository / "experiments", repository,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path, help="folder for the figures")
    parser.add_argument("--command", type=Path, help="live-digits; by default beside this Python")
    parser.add_argument("--shared", type=Path, required=True, help="the sets and their scorers")
    parser.add_argument("--rooms", type=Path, default=Path("rooms_test"))
    parser.add_argument("--clips", type=Path, default=Path("clips2"))
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--only", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    given = parser.parse_args()
    names = [n for n in given.only.split(",") if n]
    if unknown := set(names) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}: there are {', '.join(ROWS)}")
    places = places_of(given, parser)
    for name in names:
        measured(places, name)


if __name__ == "__main__":
    main()
