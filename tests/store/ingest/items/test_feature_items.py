"""The hashes of items: the stored one never changes, both together tell equal content from unlike."""

import pytest
import torch
import xxhash

from lamofc_store.ingest.items.feature_items import SHORT_INPUT_BYTES, hashes


@pytest.mark.parametrize(
    "size", [0, 1, 3, 16, 17, 128, 129, 224, 225, 226, 239, 240, 241, 242, 256, 1024, 1025, 1 << 20]
)
def test_the_stored_hash_is_xxh3_of_64_bits(size: int) -> None:
    tensor = torch.randint(0, 256, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))
    header = f"uint8{[size]}".encode()
    stored, second = hashes(tensor, "uint8")
    assert stored == xxhash.xxh3_64_intdigest(header + tensor.numpy().tobytes())
    assert 0 <= second < 1 << 64 and second != stored


def test_every_length_about_the_limit() -> None:
    for size in range(SHORT_INPUT_BYTES - 40, SHORT_INPUT_BYTES + 40):
        data = bytes(range(256))[:size] if size < 256 else bytes(size)
        tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        assert hashes(tensor, "uint8")[0] == xxhash.xxh3_64_intdigest(f"uint8{[size]}".encode() + data)


def test_dtype_and_shape_are_part_of_the_hashes() -> None:
    flat = torch.arange(64.0)
    made = {hashes(flat, "float32"), hashes(flat.reshape(8, 8), "float32"), hashes(flat.view(torch.int32), "int32")}
    assert len({stored for stored, _ in made}) == len({second for _, second in made}) == 3
