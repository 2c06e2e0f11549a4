"""Several processes write segments of their own; one commit makes all of them visible at once."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

import lamofc_store as lamofc

PLACE = "parallel.lamofc"
PARTS, EACH = 2, 20


def samples(part: int) -> list[lamofc.Sample]:
    """The samples of one part of the data."""
    noise = torch.Generator().manual_seed(part)
    return [
        lamofc.Sample(f"part{part}/{number:03d}", {"layer.1": torch.randn(30, 64, generator=noise)})
        for number in range(EACH)
    ]


def write(part: int) -> list[object]:
    """Encode a part; nothing is visible yet. On a cluster this runs on another machine."""
    with lamofc.open(PLACE, mode="r+") as store:
        return list(store.write(samples(part)))


def main() -> None:
    """Fit once, write in parallel, commit once."""
    with lamofc.open(PLACE, mode="w") as store:
        store.ingest(samples(0)[:1])  # fits the profile that all writers then use
    with ProcessPoolExecutor(PARTS, mp_context=get_context("spawn")) as pool:
        segments = [segment for written in pool.map(write, range(PARTS)) for segment in written]
    with lamofc.open(PLACE, mode="r+") as store:
        print(f"{len(segments)} segments written, {len(store)} sample visible")
        store.commit(segments)  # type: ignore[arg-type]
        assert len(store) == PARTS * EACH
        assert store.sql("SELECT count(DISTINCT profile) FROM records").fetchall() == [(1,)]


if __name__ == "__main__":
    main()
