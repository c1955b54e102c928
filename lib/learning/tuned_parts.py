"""Which weights a fine-tuning changes: the decoder, low-rank adapters on the encoder beside it, or all.

LoRA (Hu et al. 2022, arXiv 2106.09685) by PEFT: the encoder's layers keep their weights, and learn a product
of two thin matrices that is added to them: on SegAnyPET's linear layers, the compact network's convolutions.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lib.network import CompactPET
from lib.network.checkpoints import Network
from lib.network.convolution import Conv3d
from lib.store.atomic import write_atomic

Mode = Literal["decoder", "lora", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
#: Rank of the adapters, and the factor on their product is twice as much over the rank.
RANK = 8
#: What has no part in SegAnyPET's answer, see `lib.network.mask_decoder`.
_UNUSED = (
    "no_mask_embed.",
    "iou_prediction_head.",
    *(f"output_hypernetworks_mlps.{number}." for number in (1, 2, 3)),
)


class TunedNetwork:
    """A copy of a network with the weights that a mode changes.

    Args:
        base: the network to begin with; stays as it is.
        mode: `decoder`: all but the encoder; `lora`: the same, and adapters on the encoder; `full`: all.
        rank: of the adapters.
        seed: of the adapters' first values.
    """

    def __init__(self, base: Network, mode: Mode, rank: int = RANK, seed: int = 0) -> None:
        self.mode: Mode = mode
        self.network = copy.deepcopy(base).eval()
        self.network.requires_grad_(False)
        encoder = encoder_of(self.network)
        if mode == "lora":
            _with_torch_layers(encoder)
            from peft import inject_adapter_in_model  # takes seconds: only who needs it waits

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                inject_adapter_in_model(_adapters(encoder, rank), encoder)
        in_encoder = {id(parameter) for parameter in encoder.parameters()}
        for name, parameter in self.network.named_parameters():
            if "lora_" in name:
                parameter.requires_grad_(True)
            elif id(parameter) not in in_encoder or mode == "full":
                parameter.requires_grad_(not any(part in name for part in _UNUSED))

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the names and values of the weights that change."""
        return ((name, value) for name, value in self.network.named_parameters() if value.requires_grad)

    def merged(self, values: dict[str, Tensor] | None = None) -> Network:
        """Return a network of the base's own form with what was learnt, adapters merged into their layers.

        Args:
            values: of the weights that change, by their names; None: as they are.
        """
        network = copy.deepcopy(self.network)
        if values is not None:
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if name in values:
                        parameter.copy_(values[name])
        state = {}
        for layer in network.modules():
            if hasattr(layer, "lora_A"):
                layer.merge()  # type: ignore[operator]
        for name, value in network.state_dict().items():
            if "lora_" not in name:
                state[name.replace(".base_layer.", ".")] = value
        plain = type(network)(network.config, network.name)  # type: ignore[arg-type]
        plain.load_state_dict(state)
        return cast(Network, plain.to(network.device).eval().requires_grad_(False))

    def save_adapters(self, path: Path) -> None:
        """Write what a training changed, adapters and decoder, as safetensors: small beside the network."""
        from peft import get_peft_model_state_dict

        tensors = {
            f"adapter.{name}": value
            for name, value in get_peft_model_state_dict(encoder_of(self.network)).items()
        }
        tensors |= {f"weight.{name}": value for name, value in self.trained() if "lora_" not in name}
        kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_atomic(path, save(kept, metadata={"mode": self.mode}))

    def load_adapters(self, path: Path) -> None:
        """Read what `save_adapters` wrote for the same base, mode and rank."""
        from peft import set_peft_model_state_dict

        tensors = load_file(path)
        adapters = {
            name.removeprefix("adapter."): value
            for name, value in tensors.items()
            if name.startswith("adapter.")
        }
        set_peft_model_state_dict(encoder_of(self.network), adapters)
        with torch.no_grad():
            for name, parameter in self.trained():
                if "lora_" not in name:
                    parameter.copy_(tensors[f"weight.{name}"])


def encoder_of(network: Network) -> nn.Module:
    """Return the part of a network that sees the image alone."""
    return network.encoder if isinstance(network, CompactPET) else network.image_encoder


def _adapters(encoder: nn.Module, rank: int) -> Any:
    """Return PEFT's configuration of adapters on an encoder."""
    from peft import LoraConfig

    names = [name for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)]
    if not names:  # PEFT 0.21 cannot merge into convolutions of one voxel
        names = [
            name
            for name, layer in encoder.named_modules()
            if isinstance(layer, nn.Conv3d) and max(layer.kernel_size) > 1
        ]
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names, bias="none")


def _with_torch_layers(encoder: nn.Module) -> None:
    """Put torch's own convolutions, with the same weights, in the place of ours.

    PEFT makes an adapter's factors of the layer's own class, and ours takes other arguments.
    """
    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, Conv3d):
            sizes: dict[str, Any] = {key: getattr(layer, key) for key in ("kernel_size", "stride", "padding")}
            plain = nn.Conv3d(layer.in_channels, layer.out_channels, **sizes, device="meta")
            plain.weight, plain.bias = layer.weight, layer.bias
            parent, _, child = name.rpartition(".")
            setattr(encoder.get_submodule(parent), child, plain)
