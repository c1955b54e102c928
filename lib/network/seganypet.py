"""SegAnyPET: a promptable 3-D network for PET (Zhang et al., arXiv 2502.14351; SAM-Med3D's architecture)."""

import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.network.checked_prompts import check_cubes, checked_prompts
from lib.network.config import SegAnyPETConfig
from lib.network.image_encoder import ImageEncoder
from lib.network.intensity import zscore_over_positive
from lib.network.mask_decoder import MaskDecoder
from lib.network.named_weights import NamedWeights
from lib.network.prompt_encoder import PromptEncoder
from lib.network.protocol import Embedding
from lib.network.upsampling import upsample_trilinear


class SegAnyPET(NamedWeights):
    """SegAnyPET, with the parameter names of the official checkpoints; a `PromptableNetwork`.

    S is `config.image_size`, g = `config.grid_size`, s = `config.logits_size`, E = `config.embedding_width`.
    """

    def __init__(self, config: SegAnyPETConfig | None = None, name: str = "SegAnyPET"):
        super().__init__(name)
        self.config = config or SegAnyPETConfig()
        self.image_encoder = ImageEncoder(self.config)
        self.prompt_encoder = PromptEncoder(self.config)
        self.mask_decoder = MaskDecoder(self.config)

    def normalise(self, cube: Tensor | NDArray) -> Tensor:
        """Z-score (..., S, S, S) with mean and unbiased deviation of the voxels > 0 of each cube; float32.

        Voxels that are not finite count as air (0). A cube without positive voxels, or with all of them
        equal, becomes zeros.
        """
        return zscore_over_positive(torch.as_tensor(cube, dtype=torch.float32))

    def encode(self, volume: Tensor) -> Tensor:
        """Normalised cubes (B, 1, S, S, S) -> embedding (B, E, g, g, g); ValueError for another shape."""
        check_cubes(volume, self.config.image_size)
        return self.image_encoder(volume.to(self.image_encoder.pos_embed.device))

    def decode(
        self,
        embedding: Embedding,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, 1, s, s, s) of B prompt sets on one embedding (1, E, g, g, g), or on B, one set each.

        points: (B, N, 3) voxel indices of the cube in its axis order; labels: (B, N), 1 positive, 0 negative;
        None, or N = 0, means no clicks. mask_logits: (B, 1, s, s, s), the logits of the step before; None
        means zeros, which is what the network saw in training at the first step.
        Raises ValueError for wrong shapes, other labels, and points that are not inside the cube.
        """
        grid, width, side = self.config.grid_size, self.config.embedding_width, self.config.logits_size
        if not isinstance(embedding, Tensor) or embedding.shape[1:] != (width, grid, grid, grid):
            raise ValueError("The embedding was not made by this network's encode().")
        prompts = checked_prompts(embedding, points, labels, mask_logits, self.config.image_size, side)

        image = embedding + self.prompt_encoder.dense(prompts.mask_logits)
        sparse = (
            self.prompt_encoder.sparse(prompts.points, prompts.labels)
            if prompts.points.shape[1]
            else embedding.new_zeros(1, 0, width)
        )
        return self.mask_decoder(
            image.expand(prompts.batch, -1, -1, -1, -1),
            self.prompt_encoder.dense_position(),
            sparse.expand(prompts.batch, -1, -1),
        )

    def upsample(self, logits: Tensor) -> Tensor:
        """Logits (B, 1, s, s, s) -> (B, 1, S, S, S), trilinear; the mask is where the result is > 0."""
        return upsample_trilinear(logits, self.config.image_size)
