import pytest

from lib.learning.promotion import Rule, decide, origin_of, read_rule, write_rule
from lib.store import StoreError


def card(gains, losses=(0.0, 0.0)):
    """The card of weights that gain so much on each study, after 1 click; half of it after 3."""
    before = {f"study {n}": {"1": 0.5, "3": 0.7} for n in range(len(gains))}
    after = {f"study {n}": {"1": 0.5 + gain, "3": 0.7 + gain / 2} for n, gain in enumerate(gains)}
    old, new = ({f"phantom {n}": {"1": 0.9 + by} for n, by in enumerate(given)} for given in ((0, 0), losses))
    return {"validation": {"before": before, "after": after}, "retention": {"before": old, "after": new}}


def test_weights_that_gain_on_every_frozen_study_are_promoted_and_the_numbers_told():
    decision = decide(card([0.1, 0.12, 0.08, 0.1]))
    assert decision.promoted
    assert decision.why.startswith(
        "Promoted: on 4 frozen patients Dice (mean over clicks) changes by +0.075 (95%"
    )


@pytest.mark.parametrize(("confidence", "told"), [(0.999, "99.9%"), (0.975, "97.5%"), (0.57, "57%")])
def test_the_reason_names_the_interval_that_the_rule_asks_for(confidence, told):
    assert f"({told} interval" in decide(card([0.1] * 4), Rule(confidence=confidence)).why


def test_studies_of_one_patient_are_no_more_evidence_than_one():
    told = card([0.1, 0.12, 0.2, 0.0])
    told["validation"]["patients"] = {f"study {n}": 1 for n in range(4)}
    assert decide(told).short == "kept: too few frozen patients"
    told["validation"]["patients"] = {f"study {n}": min(n, 2) for n in range(4)}
    assert decide(told).why.startswith(
        "Promoted: on 3 frozen patients Dice (mean over clicks) changes by +0.080"
    )


def test_a_gain_within_the_interval_is_kept_and_not_promoted():
    decision = decide(card([0.3, -0.2, 0.1, -0.1]))
    assert not decision.promoted
    assert "not surely above 0" in decision.why


def test_a_gain_is_refused_where_what_was_known_is_lost():
    assert decide(card([0.1] * 4, losses=(-0.005, -0.012))).promoted
    refused = decide(card([0.1] * 4, losses=(-0.03, -0.01)))
    assert not refused.promoted
    assert "-0.020, which is a loss of more than 0.01" in refused.why


def test_small_losses_do_not_add_up_unnoticed():
    """Each training loses 0.006 of what was known: the second has lost more than the rule allows."""
    first, second = card([0.1] * 4, (-0.006, -0.006)), card([0.1] * 4, (-0.006, -0.006))
    first["retention"]["origin"] = origin_of(first["retention"]["before"], None)
    assert first["retention"]["origin"] == first["retention"]["before"] and decide(first).promoted
    second["retention"]["origin"] = origin_of(second["retention"]["before"], first)
    refused = decide(second)
    assert not refused.promoted
    assert "-0.012 since the weights before the first training" in refused.why
    assert decide(second, Rule(loss=0.02)).promoted
    second["retention"]["origin"] = origin_of(second["retention"]["before"], {"retention": {}})
    assert decide(second).promoted  # the parent was measured on no phantoms


def test_without_phantoms_it_is_said_that_a_loss_is_not_known():
    told = card([0.1] * 4) | {"retention": {"before": {}, "after": {}, "origin": {}}}
    assert "what was known was not measured" in decide(told).why


def test_a_loss_and_weights_that_changed_nothing_are_not_promoted():
    assert not decide(card([-0.1] * 4)).promoted
    assert not decide(card([0.0] * 4)).promoted


@pytest.mark.parametrize("gains", [[], [0.4], [0.4, 0.4]])
def test_too_few_frozen_studies_promote_nothing(gains):
    decision = decide(card(gains))
    assert not decision.promoted
    assert f"{len(gains)} frozen patients could be measured" in decision.why
    assert decision.short == "kept: too few frozen patients"


def test_a_study_that_only_one_was_measured_on_does_not_count():
    told = card([0.1] * 4)
    del told["validation"]["after"]["study 0"]
    told["validation"]["before"]["study 1"] = {}
    assert "2 frozen patients" in decide(told).why


def test_the_same_card_gives_the_same_decision():
    told = card([0.1, -0.02, 0.07, 0.04, 0.01])
    assert decide(told) == decide(told)


def test_the_rule_can_be_changed_and_is_kept(tmp_path):
    assert read_rule(tmp_path) == Rule()
    strict, mild = Rule(gain=0.2), Rule(confidence=0.5, fewest=2, clicks=3)
    assert not decide(card([0.1] * 4), strict).promoted
    assert decide(card([0.1] * 2), mild).promoted
    assert "after click 3) changes by +0.050" in decide(card([0.1] * 2), mild).why
    write_rule(tmp_path, mild)
    assert read_rule(tmp_path) == mild


@pytest.mark.parametrize(
    "fault",
    [{"confidence": 1.0}, {"confidence": 0.2}, {"gain": 2.0}, {"loss": -0.1}, {"fewest": 1}, {"clicks": 7}],
)
def test_a_rule_that_makes_no_sense_is_refused(fault):
    with pytest.raises(StoreError):
        Rule(**fault)


@pytest.mark.parametrize("content", ['{"confidence": 0.5, "mood": "good"}', '{"clicks": 7}', "junk"])
def test_a_damaged_rule_is_told_and_does_not_promote(tmp_path, content):
    (tmp_path / "rule.json").write_text(content)
    with pytest.raises(StoreError, match=r"rule\.json holds no rule: delete it"):
        read_rule(tmp_path)
