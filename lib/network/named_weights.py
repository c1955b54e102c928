"""Weights that say who they are: a name for people, and a digest for caches."""

import hashlib

import torch
from torch import Tensor, nn


class NamedWeights(nn.Module):
    """A module whose weights have a name and a digest; base class of the networks."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self._digest: tuple[list[int], str] | None = None
        self.register_load_state_dict_post_hook(_forget_digest)

    @property
    def digest(self) -> str:
        """sha256 in hex that names the weights.

        That of the file they were loaded from, as long as they are unchanged; else that of the values.
        Updates by an optimizer or by `load_state_dict` are noticed; those that go through `.data` are not.
        """
        stamp = self._weights_stamp()
        if self._digest is None or self._digest[0] != stamp:
            self._digest = (stamp, _hash_of_values(self.state_dict()))
        return self._digest[1]

    def name_weights(self, name: str, digest: str) -> None:
        """Record where the present weights come from: a short name and the sha256 of the file."""
        self.name = name
        self._digest = (self._weights_stamp(), digest)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def _weights_stamp(self) -> list[int]:
        """Changes with every in-place update of a weight, not with a move to another device."""
        return [value._version for value in self.parameters()]


def _forget_digest(network: NamedWeights, _incompatible_keys: object) -> None:
    # A function, not a closure over `self`, which would keep dropped weights until garbage collection.
    network._digest = None


def _hash_of_values(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
