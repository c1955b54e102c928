"""Fine-tuning learns, ends in time, forgets nothing when it is killed, and reads a few regions at a time."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from lib.learning import finetuning
from lib.learning.drawn_regions import draw_regions
from lib.learning.finetuning import FineTuner, Stopped
from lib.learning.kept_regions import KeptRegions
from lib.learning.tuning_recipe import FineTuning, FineTuningError
from tests.learning.small_studies import BallStudy, tiny_network
from tests.small_network import TINY

PAIR = (BallStudy("a", 1), BallStudy("b", 2))
ROOT = Path(__file__).resolve().parents[2]


def tuner(folder, mode="decoder", held_out=True, sources=PAIR, **recipe):
    folder.mkdir(exist_ok=True)
    base = tiny_network()
    kept = KeptRegions(folder / "regions", base, encoded=mode == "decoder", each=4)
    regions = kept.of(sources)
    held = kept.of([BallStudy("held", 3)])[:4] if held_out else []
    replay = kept.of([BallStudy("old", 4)])
    settings = {"epochs": 3, "rate": 2e-3, "average": 0.9, "replay": 0.5} | recipe
    return FineTuner(base, FineTuning(mode=mode, **settings), kept, regions, held, replay, folder)


@pytest.mark.parametrize("mode", ["decoder", "lora", "full"])
def test_it_learns_in_every_mode(tmp_path, mode):
    learner = tuner(tmp_path, mode, epochs=8, patience=8, rate=8e-3)
    learner.run()
    losses = [epoch.loss for epoch in learner.curve[1:]]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:2])
    assert learner.best.number > 0 and learner.best.dice["1"] > learner.curve[0].dice["1"]


@pytest.mark.parametrize("mode", ["decoder", "lora"])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, mode):
    whole = tuner(tmp_path / "whole", mode, accumulate=2)
    wanted = whole.run().state_dict()
    first = tuner(tmp_path / "parts", mode, accumulate=2)
    steps = iter(range(100))
    with pytest.raises(Stopped):
        first.run(stop=lambda: next(steps) == 5)
    second = tuner(tmp_path / "parts", mode, accumulate=2)
    assert second.step == 5
    got = second.run().state_dict()
    assert [epoch.dice for epoch in second.curve] == [epoch.dice for epoch in whole.curve]
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    """The process is killed (SIGKILL) in the middle of an epoch; what it had learnt since is learnt again."""
    wanted = tuner(tmp_path / "whole", epochs=6, patience=6).run().state_dict()
    code = (
        "import sys; from pathlib import Path; from tests.learning.test_finetuning import tuner\n"
        "tuner(Path(sys.argv[1]), epochs=6, patience=6).run(lambda at: print(at.step, flush=True))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "parts")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    for line in child.stdout:
        if int(line) >= 8:
            child.kill()
            break
    child.wait()
    child.stdout.close()
    resumed = tuner(tmp_path / "parts", epochs=6, patience=6)
    assert 0 < resumed.step < 6 * resumed.steps_an_epoch
    got = resumed.run().state_dict()
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_another_recipe_begins_anew(tmp_path):
    tuner(tmp_path, epochs=1).run()
    assert tuner(tmp_path, epochs=1).step > 0
    assert tuner(tmp_path, epochs=1, seed=1).step == 0


@pytest.mark.parametrize("content", [b"", bytes(100)], ids=["empty", "zeros"])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_anew(tmp_path, content):
    checkpoint = tuner(tmp_path, epochs=1).checkpoint
    checkpoint.write_bytes(content)
    learner = tuner(tmp_path, epochs=1)
    assert learner.step == 0 and not checkpoint.exists()
    assert learner.set_aside.name.endswith(".damaged") and learner.set_aside.read_bytes() == content


def test_it_ends_early_and_gives_the_best_epoch(tmp_path):
    learner = tuner(tmp_path, epochs=30, patience=2, rate=0.5)  # a rate that ruins the network
    network = learner.run()
    last = learner.curve[-1].number
    assert last == learner.best.number + 2 < 30
    if learner.best.number == 0:
        base = tiny_network().state_dict()
        assert all(torch.equal(value, base[name]) for name, value in network.state_dict().items())


def test_a_step_moves_every_weight_against_its_gradient(tmp_path):
    """Parameters lie in memory in another order than some gradients; each must meet its own."""
    learner = tuner(tmp_path, "full", held_out=False, epochs=1)
    loss = learner._loss(0)
    gradients = torch.autograd.grad(loss, list(learner._weights.values()))
    before = [weight.detach().clone() for weight in learner._weights.values()]
    learner._learn()
    for old, new, gradient in zip(before, learner._weights.values(), gradients, strict=True):
        clear = gradient.abs() > 1e-3 * gradient.abs().max()
        assert ((new.detach() - old).sign() == -gradient.sign())[clear].float().mean() > 0.95


def test_accumulated_batches_give_the_gradient_of_their_mean(tmp_path):
    learner = tuner(tmp_path, held_out=False, epochs=1, batch=2, accumulate=2)
    losses = [learner._loss(part) for part in range(2)]
    weights = list(learner._weights.values())
    wanted = torch.autograd.grad((losses[0] + losses[1]) / 2, weights)
    kept = []
    torch.nn.utils.clip_grad_norm_, clip = (
        lambda parameters, limit: kept.extend(p.grad.clone() for p in parameters) or torch.tensor(1.0),
        torch.nn.utils.clip_grad_norm_,
    )
    try:
        learner._learn()
    finally:
        torch.nn.utils.clip_grad_norm_ = clip
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(kept, wanted, strict=True))


NOISY = (BallStudy("a", 1, trusted=False), BallStudy("b", 2, trusted=False))


def noisy(folder, **recipe):
    return tuner(folder, held_out=False, sources=NOISY, **({"epochs": 2, "trust_epochs": 1} | recipe))


def test_labels_are_judged_once_after_the_first_epochs(tmp_path, monkeypatch):
    asked = []

    def verdict(network, kept, regions, random):
        asked.append([region.trusted for region in regions])
        return frozenset(range(4))

    monkeypatch.setattr("lib.learning.finetuning.judged", verdict)
    plain = noisy(tmp_path / "plain", epochs=3, confident=False).run().state_dict()
    assert not asked
    doubting = noisy(tmp_path / "doubting", epochs=3)
    doubted = doubting.run().state_dict()
    assert asked == [[False] * 16]
    assert any(not torch.equal(plain[name], doubted[name]) for name in plain)
    drawn = [pair for part in range(doubting.steps_an_epoch) for pair in doubting._drawn(part)]
    own = {doubting.regions.index(region): doubt for region, doubt in drawn if region in doubting.regions}
    assert own and {place for place, doubt in own.items() if doubt} <= set(range(4))


def test_of_a_doubted_label_the_first_answer_is_rectified_and_corrections_lead_to_the_label(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "lib.learning.finetuning.rectified", lambda target, mean, doubted: torch.zeros_like(target)
    )
    clicked, wanted = [], []
    corrected, loss = finetuning.corrected, finetuning.segmentation_loss
    monkeypatch.setattr(
        "lib.learning.finetuning.corrected", lambda *asked: clicked.append(asked[2]) or corrected(*asked)
    )
    monkeypatch.setattr(
        "lib.learning.finetuning.segmentation_loss",
        lambda logits, target: wanted.append(target) or loss(logits, target),
    )
    learner = noisy(tmp_path)
    learner._doubted = frozenset(range(len(learner.regions)))
    learner._loss(0)
    label = learner.kept.read([region for region, _ in learner._drawn(0)]).target
    assert torch.equal(clicked[0], label) and label.any()
    assert not wanted[0].any() and torch.equal(wanted[1], label)


def test_trusted_labels_and_a_training_that_ends_before_learn_as_plain_training(tmp_path):
    for name, changes in (("trusted", {"sources": PAIR}), ("short", {"trust_epochs": 2})):
        settings = {"held_out": False, "sources": NOISY, "epochs": 2, "trust_epochs": 1} | changes
        one, two = (
            tuner(tmp_path / f"{name} {doubt}", **settings, confident=doubt).run().state_dict()
            for doubt in (True, False)
        )
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_what_was_judged_is_known_after_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.learning.finetuning.judged", lambda *_: frozenset({1, 5}))
    first = noisy(tmp_path)
    steps = iter(range(100))
    with pytest.raises(Stopped):
        first.run(stop=lambda: next(steps) > first.steps_an_epoch)
    assert noisy(tmp_path)._doubted == {1, 5}


def test_nothing_outlined_is_said(tmp_path):
    base = tiny_network()
    kept = KeptRegions(tmp_path, base, encoded=True)
    with pytest.raises(FineTuningError, match="Nothing is outlined"):
        FineTuner(base, FineTuning(), kept, [], [], [], tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "all"}, "mode"),
        ({"epochs": 0}, "1 or more"),
        ({"replay": 1.0}, "share"),
        ({"rate": 2.0}, "rate"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(wrong, said):
    with pytest.raises(FineTuningError, match=said):
        FineTuning(**wrong)


def test_a_region_shows_its_object_and_is_clicked_in_it():
    case = BallStudy("a", 1).read()
    regions = list(draw_regions(case, TINY, each=6, most=5, seed=0))
    assert len(regions) == 12
    for region in regions:
        assert region.target[tuple(region.point)] and region.image.shape == (16, 16, 16)
        inside = region.image.numpy()[region.target]
        assert inside.mean() > 3 * np.median(region.image.numpy()[~region.target])


def test_regions_are_drawn_once_and_the_same_way(tmp_path):
    class Counted(BallStudy):
        reads = 0

        def read(self):
            Counted.reads += 1
            return super().read()

    base = tiny_network()
    first, again = (KeptRegions(tmp_path, base, encoded=True, each=3).of([Counted("a", 1)]) for _ in range(2))
    assert first == again and len(first) == 6 and Counted.reads == 1
    other = KeptRegions(tmp_path, base, encoded=True, each=3, seed=1).of([Counted("a", 1)])
    assert other[0].file != first[0].file and Counted.reads == 2


def test_kept_embeddings_are_the_encoders(tmp_path):
    base = tiny_network()
    encoded, cubes = (KeptRegions(tmp_path, base, encoded=kind, each=2) for kind in (True, False))
    one, other = (kept.read(kept.of([BallStudy("a", 1)])) for kept in (encoded, cubes))
    assert torch.equal(one.target, other.target) and torch.equal(one.point, other.point)
    with torch.no_grad():
        wanted = base.encode(other.cubes)
    for got, part in zip(one.embedding, wanted, strict=True):
        assert torch.allclose(got, part, atol=2e-2)  # kept in half precision, computed in bfloat16


def test_a_study_that_cannot_be_read_is_passed_over(tmp_path):
    class Lost(BallStudy):
        def read(self):
            raise FileNotFoundError(2, "No such file", "lost.nii.gz")

    assert KeptRegions(tmp_path, tiny_network(), encoded=True).of([Lost("a")]) == []


def test_memory_does_not_grow_with_the_studies(tmp_path):
    """Ten times as many studies must not take ten times the memory."""
    base, process = tiny_network(), psutil.Process()
    kept = KeptRegions(tmp_path, base, encoded=True, each=2)
    kept.of([BallStudy(f"w{n}", n) for n in range(3)])
    before = process.memory_info().rss
    regions = kept.of([BallStudy(f"s{n}", n) for n in range(150)])
    for at in range(0, len(regions), 4):
        kept.read(regions[at : at + 4])
    on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert on_disk > 10 << 20
    assert process.memory_info().rss - before < on_disk / 2


def test_an_epoch_on_kept_embeddings_does_not_run_the_encoder(tmp_path):
    learner = tuner(tmp_path, held_out=False, epochs=1)

    def never(*_):
        raise AssertionError("the encoder ran")

    learner.tuned.network.encode = never
    begin = time.monotonic()
    learner.run()
    assert time.monotonic() - begin < 60
