import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

COMPAT = Path(__file__).resolve().parents[2] / "compat"


@pytest.fixture
def stand_in(monkeypatch):
    """A function that imports a stand-in from its source, whatever is installed under its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, COMPAT / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load
