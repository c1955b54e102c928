"""lib.learning.precision."""

import pytest
import torch

from lib.learning import precision


@pytest.mark.parametrize(("native", "computed"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_only_where_it_multiplies_it(native, computed, monkeypatch):
    monkeypatch.setattr(precision, "BFLOAT16", native)
    cubes, weight = torch.ones(1, 1, 4, 4, 4), torch.ones(1, 1, 3, 3, 3)
    with precision.mixed_precision("cpu"):
        assert torch.conv3d(cubes, weight).dtype == computed
