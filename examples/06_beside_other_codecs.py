"""Codecs side by side on one's own features, and a codec with levels that others have placed."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

import lamofc_store as lamofc
from lamofc_store.codecs import decode, encode, fit

torch.manual_seed(0)
mixing = torch.randn(64, 64) * torch.logspace(0, -1.5, 64)
features = [torch.randn(100, 64) @ mixing for _ in range(40)]
train, test = features[:32], features[32:]

coders: list[tuple[str, lamofc.Quality | None, dict[str, Any]]] = [
    ("klt", lamofc.Quality(snr_db=15), {}),
    ("uniform", lamofc.Quality(snr_db=15), {}),
    ("uniform", None, {"truncation": "csr"}),  # LaMoFC's range for common sense reasoning, ten bits
    ("lloydmax", None, {}),
    ("lloydmax", None, {"assign": "floor"}),  # as DT-UFC's code, and not its paper, gives values to levels
]
for codec, quality, options in coders:
    profile = fit(codec, train, quality, **options)
    records = encode(test, profile)
    bits = sum(8 * len(record.data) for record in records) / sum(record.elements for record in records)
    decoded = decode([record.data for record in records], profile)
    error = torch.cat(decoded).sub(torch.cat(test)).square().mean()
    print(f"{codec:9}{options or ''!s:25}{bits:7.2f} bits an element, squared error {error:.2g}")

with tempfile.TemporaryDirectory() as folder:
    # A mapping.json as the papers publish it: which list of levels a feature goes by.
    levels = torch.sinh(torch.linspace(-5, 5, 256)).tolist()
    Path(folder, "levels.json").write_text(json.dumps(levels))
    Path(folder, "mapping.json").write_text(json.dumps({"mine": {"layer.9": "levels.json"}}))
    store = lamofc.open(f"{folder}/features.lamofc", mode="a")
    told = {"mapping": f"{folder}/mapping.json", "family": "mine"}
    samples = [lamofc.Sample(f"s{n}", {"layer.9.0": feature}) for n, feature in enumerate(test)]
    store.ingest(samples, "lloydmax", codec_options=told)
    print(store.sql("SELECT feature, codec, bpfp, snr_db FROM features"))
