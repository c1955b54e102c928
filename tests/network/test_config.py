import pytest

from lib.network import SegAnyPETConfig


def test_defaults_are_the_published_network():
    config = SegAnyPETConfig()
    assert (config.image_size, config.spacing, config.grid_size, config.logits_size) == (128, 1.5, 8, 32)


def test_a_configuration_survives_json():
    config = SegAnyPETConfig(image_size=64, spacing=3.0, patch_size=8, global_blocks=(1, 3))
    assert SegAnyPETConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("text", ["", "[]", "3", '"x"', "{", '{"colour": 3}', '{"spacing": "1"}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError):
        SegAnyPETConfig.from_json(text)


@pytest.mark.parametrize(
    "sizes",
    [
        {"image_size": 100},
        {"patch_size": 0},
        {"encoder_width": 767},
        {"embedding_width": 385},
        {"window_size": 7},
        {"global_blocks": (12,)},
        {"global_blocks": (-1,)},
        {"global_blocks": [2]},
        {"spacing": 0.0},
        {"spacing": float("nan")},
        {"encoder_depth": True},
        {"mask_tokens": 1.0},
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match=next(iter(sizes))):
        SegAnyPETConfig(**sizes)
