"""The command line's entry: `python -m scripts COMMAND`, which is what the launcher `segpet` runs."""

import importlib
import pkgutil

import scripts
from scripts import app

for module in pkgutil.iter_modules(scripts.__path__):
    if module.name != "__main__":
        importlib.import_module(f"scripts.{module.name}")

if __name__ == "__main__":
    app(prog_name="segpet")
