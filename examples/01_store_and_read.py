"""Put features into a store, get them back, and ask what they cost."""

import torch

import lamofc_store as lamofc

# A sample is an id, named tensors of any shape and dtype, and columns to ask for later.
samples = [
    lamofc.Sample(
        id=f"img_{number:03d}",
        features={"layer.12": torch.randn(20 + number % 5, 128), "pooled": torch.randn(128).half()},
        attributes={"label": number % 3, "split": "test" if number % 4 == 0 else "train"},
    )
    for number in range(60)
]

with lamofc.open("features.lamofc", mode="w") as store:
    report = store.ingest(samples, codec="uniform", quality=lamofc.Quality(snr_db=20))
    print(f"{report.raw_bytes} bytes became {report.stored_bytes}")

with lamofc.open("features.lamofc") as store:
    decoded = store["img_007", "layer.12"]
    original = samples[7].features["layer.12"]
    assert decoded.shape == original.shape
    assert (decoded - original).square().mean() < 0.011  # 20 dB: a hundredth of the variance

    print(store.sql("SELECT feature, bpfp, mse, snr_db FROM features"))
    assert store.find("label = 2 AND split = 'test'")[0] == "img_008"
