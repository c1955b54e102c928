"""Weights out of files that `torch.save` wrote, without ever running what a pickle asks for."""

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.network.errors import CheckpointError

# What the published trainers store beside the weights; all of it is data. Files made with numpy 1 name the
# function by its old path. (torch itself allows tensors, containers and collections.Counter.)
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_TRAINER_GLOBALS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    _NUMPY_SCALAR,
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")),
]
_WEIGHT_KEYS = ("model_state_dict", "state_dict")


def read_torch_weights(path: Path, mmap: bool) -> dict[str, Tensor]:
    """State dict of a checkpoint: bare, or under `model_state_dict` or `state_dict`; `module.` prefixes go.

    mmap: leave the values in the file until they are used; the file must then stay as it is.
    Raises CheckpointError where the file is no checkpoint, is damaged, or holds code.
    """
    try:
        with torch.serialization.safe_globals(_TRAINER_GLOBALS):
            # The format before torch 1.6 is not a zip archive and cannot be mapped.
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=mmap and zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path.name} was refused: it holds {refused[1]}, which is not weights and could run code. "
                "Save the state dict alone and use that file."
            ) from error
        raise _unreadable(path) from error
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        raise _unreadable(path) from error
    return _weights_of(content, path)


def _unreadable(path: Path) -> CheckpointError:
    return CheckpointError(f"{path.name} is not a checkpoint, or is truncated or damaged: get it again.")


def _weights_of(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict):
        content = next((content[key] for key in _WEIGHT_KEYS if key in content), content)
    if not isinstance(content, dict) or not content or not all(isinstance(key, str) for key in content):
        raise CheckpointError(f"{path.name} holds no state dict (parameter names and tensors).")
    for key, value in content.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{path.name} holds no state dict: {key!r} is not a tensor.")
    return {key.removeprefix("module."): value for key, value in content.items()}
