"""The language model that comes with SegPET, as it is bundled."""

import pytest
import torch

from apps.segpet.options import BUNDLED_IMPRESSION
from lib.report.backends.local import LocalBackend
from lib.report.check import check
from lib.report.synthetic_pairs import pairs

#: Of a seed that it has not seen, with at most two lesions.
FEW = [pair for pair in pairs(24, "A", 31) if pair.impression.count("max") <= 2][:6]


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    return LocalBackend(str(BUNDLED_IMPRESSION), None, torch.device("cpu"))


def test_the_bundled_model_says_what_findings_support(backend: LocalBackend) -> None:
    said = ["".join(backend.generate(pair.findings, pair.language)) for pair in FEW]
    assert sum(text == pair.impression for text, pair in zip(said, FEW, strict=True)) >= 5
    for text, pair in zip(said, FEW, strict=True):
        if text == pair.impression:
            assert not check(text, None, pair.findings, pair.language).marks


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in BUNDLED_IMPRESSION.iterdir()) < 16e6
