"""MONAI is there without transformers, whoever imports it first, and transformers is there when asked for."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["import lib.learning.lean_monai", "import lib.learning.losses"])
def test_monai_comes_without_transformers_which_can_be_imported_afterwards(first):
    code = (
        f"{first}; import sys; assert 'transformers' not in sys.modules; import transformers, monai.networks"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_transformers_that_was_imported_before_stays():
    code = "import transformers, lib.learning.lean_monai, sys; assert sys.modules['transformers'].BertConfig"
    subprocess.run([sys.executable, "-c", code], check=True)
