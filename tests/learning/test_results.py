"""What an evaluation keeps while it runs."""

import csv
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from lib.learning import results
from lib.learning.cases import Case
from lib.learning.evaluation import Run, State
from lib.learning.metrics import METRICS
from lib.pet import Crop, Volume


def test_ctrl_c_while_a_case_is_written_lets_it_count_for_all_methods(tmp_path, monkeypatch):
    write, before = results.write_clicks, signal.signal(signal.SIGINT, signal.default_int_handler)

    def struck(*arguments):
        signal.raise_signal(signal.SIGINT)
        write(*arguments)

    monkeypatch.setattr(results, "write_clicks", struck)
    lesion = Crop((1, 1, 1), np.ones((2, 2, 2), dtype=bool))
    volume = Volume(np.ones((8, 8, 8), dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")
    case = Case("a", volume, (lesion,), lesion, (1,))
    names = ("network", "suv_region")
    runs = [
        Run(name, "a", 1, (State(1, 0.5, 0.1, dict.fromkeys(METRICS, 0.5)),), (), (), lesion)
        for name in names
    ]
    methods = [SimpleNamespace(name=name) for name in names]
    try:
        with pytest.raises(KeyboardInterrupt):
            results.Results(methods[:1], methods[1:], {"protocol": "autopet"}, tmp_path).add(1, case, runs)
    finally:
        signal.signal(signal.SIGINT, before)
    with (tmp_path / "cases.csv").open(newline="") as file:
        assert {row["method"] for row in csv.DictReader(file)} == set(names)
