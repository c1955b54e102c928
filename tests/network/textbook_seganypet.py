"""SegAnyPET as plain formulas on a state dict: slow, padded in full, in the dtype of its input.

Written from the description of the network and sharing nothing with lib/network: every padding token is
there, every relative-position term is materialised. Tests compare the fast network with it in float64.
"""

import math

import torch
import torch.nn.functional as F


def encode(state, config, volume):
    p = "image_encoder."
    x = F.conv3d(
        volume,
        state[p + "patch_embed.proj.weight"],
        state[p + "patch_embed.proj.bias"],
        stride=config.patch_size,
    )
    x = x.permute(0, 2, 3, 4, 1) + state[p + "pos_embed"]
    for index in range(config.encoder_depth):
        window = config.grid_size if index in config.global_blocks else config.window_size
        block = {key.removeprefix(f"{p}blocks.{index}."): value for key, value in state.items()}
        x = x + attend(block, norm(x, block, "norm1", 1e-6), window, config.encoder_heads)
        hidden = F.gelu(linear(norm(x, block, "norm2", 1e-6), block, "mlp.lin1"))
        x = x + linear(hidden, block, "mlp.lin2")
    x = F.conv3d(x.permute(0, 4, 1, 2, 3), state[p + "neck.0.weight"])
    x = norm3d(x, state, p + "neck.1")
    x = F.conv3d(x, state[p + "neck.2.weight"], padding=1)
    return norm3d(x, state, p + "neck.3")


def attend(block, x, size, heads):
    """Attention of all real queries over the grid zero-padded to size^3 tokens; x (B, g, g, g, C)."""
    grid = x.shape[1]
    pad = size - grid
    x = F.pad(x, (0, 0, 0, pad, 0, pad, 0, pad))
    qkv = linear(x, block, "attn.qkv").unflatten(-1, (3, heads, -1))
    scale = qkv.shape[-1] ** -0.5
    index = torch.arange(size)[:, None] - torch.arange(size)[None, :] + size - 1
    r_d, r_h, r_w = (block[f"attn.rel_pos_{axis}"][index] for axis in "dhw")
    images = []
    for one in qkv:
        outputs = []
        for head in range(heads):
            q, k, v = one[..., 0, head, :], one[..., 1, head, :], one[..., 2, head, :]
            real = q[:grid, :grid, :grid]
            logits = scale * torch.einsum("dhwc,ijlc->dhwijl", real, k)
            # The mis-broadcast: q of (d,h,i) and (d,h,j), padding tokens among them, always the key axis l.
            logits = logits + torch.einsum("dhwc,dlc->dhwl", real, r_d[:grid])[:, :, :, None, None, :]
            logits = (
                logits
                + torch.einsum("dhic,hlc->dhil", q[:grid, :grid], r_h[:grid])[:, :, None, :, None, :]
                + torch.einsum("dhjc,jlc->dhjl", q[:grid, :grid], r_w)[:, :, None, None, :, :]
            )
            weights = logits.flatten(3).softmax(-1)
            outputs.append(weights @ v.flatten(0, 2))
        images.append(torch.cat(outputs, dim=-1))
    return linear(torch.stack(images), block, "attn.proj")


def decode(state, config, embedding, points, labels, mask):
    """Logits of one prompt set: points (N, 3) or None, labels (N,), mask (1, 1, s, s, s)."""
    p, d = "prompt_encoder.", "mask_decoder."
    grid = config.grid_size
    tokens = [state[d + "iou_token.weight"], state[d + "mask_tokens.weight"]]
    if points is not None:
        code = position_code(state, (points.to(mask.dtype) + 0.5) / config.image_size)
        kind = torch.cat([state[f"{p}point_embeddings.{int(label)}.weight"] for label in labels])
        tokens += [code + kind, state[p + "not_a_point_embed.weight"]]
    tokens = torch.cat(tokens)[None]

    x = mask
    for conv, following in ((0, 1), (3, 4)):
        weight, bias = (state[f"{p}mask_downscaling.{conv}.{name}"] for name in ("weight", "bias"))
        x = F.gelu(norm3d(F.conv3d(x, weight, bias, stride=2), state, f"{p}mask_downscaling.{following}"))
    dense = F.conv3d(x, state[p + "mask_downscaling.6.weight"], state[p + "mask_downscaling.6.bias"])

    cells = torch.tensor([(j, i, k) for i in range(grid) for j in range(grid) for k in range(grid)])
    image_code = position_code(state, (cells.to(mask.dtype) + 0.5) / grid)[None]  # first axes swapped
    image = (embedding + dense).flatten(2).transpose(1, 2)

    heads, t, code = config.decoder_heads, d + "transformer.", tokens
    for index in range(config.decoder_depth):
        layer = f"{t}layers.{index}."
        if index == 0:
            tokens = attention(state, layer + "self_attn.", heads, tokens, tokens, tokens)
        else:
            q = tokens + code
            tokens = tokens + attention(state, layer + "self_attn.", heads, q, q, tokens)
        tokens = norm(tokens, state, layer + "norm1", 1e-5)
        cross = layer + "cross_attn_token_to_image."
        tokens = tokens + attention(state, cross, heads, tokens + code, image + image_code, image)
        tokens = norm(tokens, state, layer + "norm2", 1e-5)
        tokens = tokens + linear(linear(tokens, state, layer + "mlp.lin1").relu(), state, layer + "mlp.lin2")
        tokens = norm(tokens, state, layer + "norm3", 1e-5)
        cross = layer + "cross_attn_image_to_token."
        image = image + attention(state, cross, heads, image + image_code, tokens + code, tokens)
        image = norm(image, state, layer + "norm4", 1e-5)
    final = t + "final_attn_token_to_image."
    tokens = tokens + attention(state, final, heads, tokens + code, image + image_code, image)
    tokens = norm(tokens, state, t + "norm_final_attn", 1e-5)

    u = d + "output_upscaling."
    x = image.transpose(1, 2).unflatten(2, (grid, grid, grid))
    x = F.conv_transpose3d(x, state[u + "0.weight"], state[u + "0.bias"], stride=2)
    x = F.gelu(norm3d(x, state, u + "1"))
    x = F.gelu(F.conv_transpose3d(x, state[u + "3.weight"], state[u + "3.bias"], stride=2))
    hyper, h = tokens[:, 1], d + "output_hypernetworks_mlps.0.layers."
    hyper = linear(linear(linear(hyper, state, h + "0").relu(), state, h + "1").relu(), state, h + "2")
    return torch.einsum("bc,bcxyz->bxyz", hyper, x)[:, None]


def attention(state, prefix, heads, q, k, v):
    q, k, v = (linear(x, state, f"{prefix}{name}_proj") for name, x in (("q", q), ("k", k), ("v", v)))
    width = q.shape[-1] // heads
    outputs = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width)).softmax(-1)
        outputs.append(weights @ v[..., part])
    return linear(torch.cat(outputs, dim=-1), state, prefix + "out_proj")


def position_code(state, position):
    matrix = state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    angle = 2 * math.pi * ((2 * position - 1) @ matrix)
    return torch.cat([angle.sin(), angle.cos(), angle.sin()], dim=-1)


def linear(x, state, name):
    return x @ state[name + ".weight"].T + state[name + ".bias"]


def norm(x, state, name, eps):
    mean = x.mean(-1, keepdim=True)
    variance = x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + eps).sqrt() * state[name + ".weight"] + state[name + ".bias"]


def norm3d(x, state, name):
    return norm(x.movedim(1, -1), state, name, 1e-6).movedim(-1, 1)
