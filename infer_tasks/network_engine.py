"""The network's engine, loaded when first needed: servers are up at once, training never loads it."""

import logging
from pathlib import Path
from threading import Lock, Thread

import torch

from lib.interaction import Engine, NetworkSegmenter
from lib.network import CheckpointError, load_network

logger = logging.getLogger("segpet")

_MISSING = (
    "This server has no weights of SegAnyPET: get a checkpoint (YichiZhang98/SegAnyPET on the "
    "Hugging Face hub; mind its licence) and start the server with `segpet serve --model PATH` "
    "(plain MONAI Label: `--conf model PATH`), or use suv_region."
)


class WeightsMissingError(ValueError):
    """There are no weights; the message says how to get them."""


class NetworkEngine:
    """Loads the weights once and keeps the engine.

    Args:
        weights: file of weights, or None.
        device: where the network runs.
        cache: folder for the weights in the form that loads fast.
    """

    def __init__(self, weights: Path | None, device: torch.device, cache: Path) -> None:
        self._weights, self._device, self._cache = weights, device, cache
        self._engine: Engine | None = None
        self._fault = ""
        self._lock = Lock()

    def get(self) -> Engine:
        """Return the engine; waits until the weights are loaded.

        Raises:
            WeightsMissingError: the server was started without weights.
            CheckpointError: the file cannot be used; known from the first attempt on.
        """
        if self._weights is None:
            raise WeightsMissingError(_MISSING)
        with self._lock:
            if self._fault:
                raise CheckpointError(self._fault)
            if self._engine is None:
                logger.info("Loading the weights %s; a checkpoint is converted once.", self._weights.name)
                try:
                    network = load_network(self._weights, self._device, cache=self._cache)
                except CheckpointError as fault:
                    self._fault = str(fault)  # not itself: it holds on to what its frames hold
                    raise
                self._engine = Engine(NetworkSegmenter(network))
                logger.info("The weights %s are ready on %s.", self._weights.name, self._device)
            return self._engine

    @property
    def has_weights(self) -> bool:
        """Whether the server was started with weights."""
        return self._weights is not None

    @property
    def state(self) -> str:
        """`missing`, `loading` (or not yet asked for), `broken` or `ready`; does not wait."""
        if self._weights is None:
            return "missing"
        return "broken" if self._fault else "ready" if self._engine else "loading"

    @property
    def why(self) -> str:
        """Why the weights cannot be used; "" where they can, or may be."""
        return _MISSING if self._weights is None else self._fault

    def load_in_background(self) -> None:
        """Begin to load the weights, where there are some; a request meanwhile waits for them."""
        if self._weights is not None:
            Thread(target=self._load_quietly, name="weights", daemon=True).start()

    def _load_quietly(self) -> None:
        try:
            self.get()
        except CheckpointError as fault:
            logger.error("%s", fault)  # and told to whoever asks for a mask
