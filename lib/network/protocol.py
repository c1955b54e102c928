"""What every network that is prompted with clicks offers, whatever is inside."""

from typing import Protocol, TypeAlias

from numpy.typing import NDArray
from torch import Tensor

Embedding: TypeAlias = Tensor | tuple["Embedding", ...]
"""What `encode` returns. Opaque: only the network that made it can read it."""


class NetworkConfig(Protocol):
    """The part of a network's configuration that everybody may read."""

    @property
    def image_size(self) -> int:
        """Voxels along each side of the cube."""

    @property
    def spacing(self) -> float:
        """Isotropic voxel spacing of the cube in mm."""

    @property
    def fine_spacing(self) -> float:
        """Spacing in mm of a second look at small objects that the network has learnt as well; 0: none."""

    @property
    def wide_spacing(self) -> float:
        """Spacing in mm of a look around, which shows large objects as if they were smaller; 0: none."""

    @property
    def far_spacing(self) -> float:
        """Spacing in mm of a look from afar, asked where other looks leave the network unsure; 0: none."""


class PromptableNetwork(Protocol):
    """A network that encodes a cube once and decodes it again at every click.

    S is `config.image_size`; cubes are in RAS+ axis order; s, the side of the logits, may be smaller than S.
    """

    name: str
    """Short name of the weights, for people."""

    @property
    def config(self) -> NetworkConfig:
        """Size and spacing of the cube."""

    @property
    def digest(self) -> str:
        """sha256 in hex that identifies the weights: another digest, other embeddings."""

    def normalise(self, cube: Tensor | NDArray) -> Tensor:
        """Intensities of a cube (..., S, S, S) in the image's unit -> float32 values that `encode` takes."""

    def encode(self, volume: Tensor) -> Embedding:
        """Normalised cubes (B, 1, S, S, S), wherever they are -> their embedding, where the network is."""

    def decode(
        self,
        embedding: Embedding,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, 1, s, s, s) of B prompt sets on the embedding of one cube, or of B, one set each.

        points: (B, N, 3) voxel indices of the cube; labels: (B, N), 1 positive, 0 negative;
        mask_logits: (B, 1, s, s, s) the logits of the step before, None at the first.
        Raises ValueError where prompts are malformed.
        """

    def upsample(self, logits: Tensor) -> Tensor:
        """Logits (B, 1, s, s, s) -> (B, 1, S, S, S), trilinear; the mask is where the result is > 0."""


def embedding_bytes(embedding: Embedding) -> int:
    """Memory that an embedding holds, in bytes; for caches bounded in bytes."""
    if isinstance(embedding, tuple):
        return sum(embedding_bytes(part) for part in embedding)
    return embedding.untyped_storage().nbytes()
