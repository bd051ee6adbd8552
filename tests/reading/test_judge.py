"""The judge's networks as files: what fits, what does not, and how they run.

The networks are made by training's own code, tiny and with random weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from label_kit import candidate
from page_kit import CLASSIC, PAPER, page
from wrong_kit import one_line

from live_digits.core.errors import ModelError
from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.reading import judge, model_store
from live_digits.reading.classes import JUDGED, LETTER
from live_digits.reading.cutouts import SHAPES, SIDE, Cutouts, cut_out, no_cutouts
from live_digits.reading.judge import CONTEXT, JUDGE, ContextNetwork, JudgeNetwork, LearnedJudge
from live_digits.reading.questions import Judge, answer_question
from live_digits.vision.detection import detect_candidates

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="makes networks with TensorFlow"
)


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """The two networks' files, by their names."""
    from live_digits.training import judge_networks, networks
    from live_digits.training.train import exported

    keras: Any = networks.keras_module()
    keras.utils.set_random_seed(4)
    crops = networks.build("cnn", 0.1)
    features = judge_networks.features_of(crops)
    head = judge_networks.context_head(features.outputs[0].shape[-1])
    context = judge_networks.finished(judge_networks.context_network(features, head), 1.0)
    network = judge_networks.judge_network()
    rng = np.random.default_rng(5)
    network.set_weights([rng.normal(0, 0.1, w.shape) for w in network.get_weights()])
    among = judge_networks.finished(network, 1.0)
    return {CONTEXT: exported(context), JUDGE: exported(among)}


@pytest.fixture
def model(files: dict[str, bytes], tmp_path: Path) -> Path:
    """A model's folder with a judge."""
    folder = Path(shutil.copytree(model_store.models_folder() / "dense", tmp_path / "model"))
    signed(folder, files)
    return folder


def signed(folder: Path, files: dict[str, bytes]) -> None:
    """Puts files into a model's folder, its card in order."""
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
        card["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")


def cutouts(count: int, seed: int = 0) -> Cutouts:
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> Any:
        return rng.integers(0, 256, (count, *shape), dtype=np.uint8)

    shapes = rng.normal(size=(count, SHAPES)).astype(np.float32)
    return Cutouts(noise(28, 28), noise(SIDE, SIDE, 3), noise(SIDE, SIDE, 2), shapes)


def marks(count: int, seed: int = 0) -> tuple[list[Candidate], Floats]:
    weights = np.random.default_rng(seed).dirichlet(np.full(JUDGED, 0.3), count)
    return [candidate(30 * i, {i}) for i in range(count)], weights.astype(np.float32)


# --- what it answers ---


@pytest.mark.parametrize("count", [0, 1, 64, 65])
def test_any_number_of_candidates_is_answered(files: dict[str, bytes], count: int) -> None:
    seen = ContextNetwork(files[CONTEXT]).evidence(cutouts(count))
    candidates, evidence = marks(count)
    among = JudgeNetwork(files[JUDGE]).verdicts(candidates, evidence.reshape(-1, JUDGED))
    for answers in (seen, among):
        assert answers.shape == (count, JUDGED)
        assert answers.dtype == np.float32
        assert np.isfinite(answers).all()
    np.testing.assert_allclose(seen.sum(axis=1), 1, atol=1e-3)


def test_an_answer_does_not_depend_on_who_is_asked_with_it(files: dict[str, bytes]) -> None:
    network, many = ContextNetwork(files[CONTEXT]), cutouts(70)
    together = network.evidence(many)
    for row in (0, 5, 63, 64, 69):
        np.testing.assert_allclose(network.evidence(many.rows([row]))[0], together[row], atol=2e-3)
    small = ContextNetwork(files[CONTEXT], batch=3).evidence(many)
    np.testing.assert_allclose(small, together, atol=2e-3)


def test_each_input_of_the_first_network_counts(files: dict[str, bytes]) -> None:
    network, usual = ContextNetwork(files[CONTEXT]), cutouts(4)
    answers = network.evidence(usual)
    other = cutouts(4, seed=1)
    for part in ("crops", "near", "wide", "shapes"):
        inputs = {p: getattr(usual, p) for p in ("crops", "near", "wide", "shapes")}
        inputs[part] = getattr(other, part)
        assert np.abs(network.evidence(Cutouts(**inputs)) - answers).max() > 1e-3, part


def test_neighbours_change_a_verdict_and_their_order_does_not(files: dict[str, bytes]) -> None:
    network = JudgeNetwork(files[JUDGE])
    candidates, evidence = marks(12)
    usual = network.verdicts(candidates, evidence)
    alone = network.verdicts(candidates[:1], evidence[:1])
    assert np.abs(alone[0] - usual[0]).max() > 1e-3
    order = np.random.default_rng(2).permutation(12)
    turned = network.verdicts([candidates[i] for i in order], evidence[order])
    np.testing.assert_allclose(turned, usual[order], atol=5e-3)


def test_what_is_hardly_a_digit_is_none_and_keeps_its_reason(files: dict[str, bytes]) -> None:
    candidates, evidence = marks(3)
    evidence[1] = 0
    evidence[1, [4, LETTER]] = 0.01, 0.99
    before = evidence.copy()
    verdicts = JudgeNetwork(files[JUDGE]).verdicts(candidates, evidence)
    assert not verdicts[1, :NOT_A_DIGIT].any()
    assert verdicts[1, LETTER] == pytest.approx(0.99)
    np.testing.assert_array_equal(evidence, before, "what is handed in is not written to")


def test_a_network_belongs_to_the_thread_that_first_uses_it(files: dict[str, bytes]) -> None:
    context, among = ContextNetwork(files[CONTEXT]), JudgeNetwork(files[JUDGE])
    found: list[object] = []

    def elsewhere() -> None:
        found.append(context.evidence(cutouts(2)).shape)
        found.append(among.verdicts(*marks(2)).shape)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [(2, JUDGED), (2, JUDGED)]
    with pytest.raises(RuntimeError, match="belongs to the thread"):
        context.evidence(cutouts(2))
    with pytest.raises(RuntimeError, match="belongs to the thread"):
        among.verdicts(*marks(2))


# --- folders ---


def test_a_folder_with_a_judge_judges_and_one_without_reads_crops(model: Path) -> None:
    learned = judge.load(str(model))
    assert isinstance(learned, LearnedJudge)
    assert isinstance(learned, Judge)
    assert learned.name == "model"
    vision = detect_candidates(page(640, 480)[0], PAPER)
    seen = cut_out(vision, range(len(vision.candidates)))
    evidence = learned.evidence(seen)
    assert learned.verdicts(vision.candidates, evidence).shape == (len(seen), JUDGED)
    assert learned.classify(seen.crops).shape == (len(seen), 11)
    assert not isinstance(judge.load("dense"), Judge)


@pytest.mark.parametrize("profile", [PAPER, CLASSIC], ids=["paper", "classic"])
def test_a_model_with_a_judge_reads_live_and_still(model: Path, profile: Any) -> None:
    from dataclasses import replace

    from live_digits.config.settings import Settings
    from live_digits.core.types import Frame
    from live_digits.reading.image_reader import read_picture
    from live_digits.tracking.video_reader import VideoReader

    settings = replace(Settings(), pipeline=profile)
    learned, video_reader = judge.load(str(model)), VideoReader(settings)
    image = np.repeat(page(640, 480)[0][..., None], 3, axis=2)
    still = read_picture(Frame(image, 0, 0.0), settings, learned)
    seen = video_reader.see(Frame(image, 0, 0.0), settings.pipeline)
    assert isinstance(learned, LearnedJudge)
    video_reader.add_predictions(answer_question(learned, video_reader.pending_crops(seen)))
    moving = video_reader.reading(seen)
    assert moving.pending == ()
    assert len(moving.digits) + len(moving.rejected) > 0
    assert {d.box for d in moving.digits} == {d.box for d in still.digits}
    assert set(moving.rejected) == set(still.rejected)


@pytest.mark.parametrize("name", [CONTEXT, JUDGE])
@pytest.mark.parametrize(
    "content", [b"", b"TFL3", bytes(5000)], ids=["empty", "a beginning", "zeros"]
)
def test_a_file_that_is_no_network_is_one_clear_line(
    model: Path, name: str, content: bytes
) -> None:
    signed(model, {name: content})
    with pytest.raises(ModelError, match="is no LiteRT network") as caught:
        judge.load(str(model))
    one_line(caught.value, "model")


@pytest.mark.parametrize("name", [CONTEXT, JUDGE])
def test_a_network_of_another_shape_is_one_clear_line(
    model: Path, files: dict[str, bytes], name: str
) -> None:
    other = {CONTEXT: JUDGE, JUDGE: CONTEXT}[name]
    crops = (model_store.models_folder() / "dense" / "model.tflite").read_bytes()
    for content in (files[other], crops):
        signed(model, {name: content})
        with pytest.raises(ModelError, match=r"expected .*; train the model again") as caught:
            judge.load(str(model))
        one_line(caught.value, name.split(".")[0])


@pytest.mark.parametrize("name", [CONTEXT, JUDGE])
def test_a_damaged_or_missing_judge_is_one_clear_line(model: Path, name: str) -> None:
    good = (model / name).read_bytes()
    (model / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ModelError, match="damaged or not the file its card describes") as caught:
        judge.load(str(model))
    one_line(caught.value, name)
    (model / name).unlink()
    with pytest.raises(ModelError, match="cannot be read") as caught:
        judge.load(str(model))
    one_line(caught.value, name)


def test_half_a_judge_is_none(model: Path) -> None:
    card = yaml.safe_load((model / "card.yaml").read_text(encoding="utf-8"))
    del card["sha256"][JUDGE]
    (model / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    assert not isinstance(judge.load(str(model)), Judge)


def test_nothing_seen_nothing_said(files: dict[str, bytes]) -> None:
    assert ContextNetwork(files[CONTEXT]).evidence(no_cutouts()).shape == (0, JUDGED)
