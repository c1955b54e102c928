"""What is kept apart: the same to the last bit and in the same order, and gone from memory when let go."""

import psutil
import pytest
import torch

from lib.network import embedding_bytes, kept_apart

MB = 1 << 20


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(1, 3, 4, 5, 6),
        torch.randn(1, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
        torch.randn(1, 2, 3).to(torch.bfloat16),
        torch.randn(1, 3, 4).transpose(1, 2),
    ],
    ids=["contiguous", "channels last", "bfloat16", "transposed"],
)
def test_a_copy_is_the_tensor_in_other_memory(tensor):
    copy = kept_apart(tensor)
    assert torch.equal(copy, tensor)
    assert (copy.dtype, copy.stride()) == (tensor.dtype, tensor.stride())
    assert copy.data_ptr() != tensor.data_ptr()
    assert embedding_bytes(copy) == tensor.nbytes


def test_a_part_of_a_larger_tensor_does_not_keep_all_of_it():
    part = torch.randn(8, 100)[:, :3]
    assert embedding_bytes(part) > part.nbytes
    assert embedding_bytes(kept_apart(part)) == part.nbytes


def test_all_parts_of_an_embedding_are_copied():
    parts = torch.ones(2), (torch.zeros(3), torch.ones(1))
    first, (second, third) = kept_apart(parts)
    assert torch.equal(first, torch.ones(2))
    assert torch.equal(second, torch.zeros(3))
    assert torch.equal(third, torch.ones(1))


def test_what_is_let_go_leaves_no_memory_behind():
    process, made = psutil.Process(), torch.ones(MB)
    before = process.memory_info().rss
    kept, between = [], []
    for _ in range(32):
        kept.append(kept_apart(made))
        between.append(torch.ones(1000))
    assert process.memory_info().rss - before > 120 * MB
    kept.clear()
    assert process.memory_info().rss - before < 16 * MB
    assert len(between) == 32
