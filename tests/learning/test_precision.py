"""lib.learning.precision."""

import pytest
import torch

from lib.learning import precision


@pytest.mark.parametrize(
    ("native", "side", "computed"),
    [(True, 48, torch.bfloat16), (False, 48, torch.float32), (True, 32, torch.float32)],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_multiplies_it_rightly(native, side, computed, monkeypatch):
    monkeypatch.setattr(precision, "BFLOAT16", native)
    cubes, weight = torch.ones(1, 1, 4, 4, 4), torch.ones(1, 1, 3, 3, 3)
    with precision.mixed_precision("cpu", side):
        assert torch.conv3d(cubes, weight).dtype == computed
