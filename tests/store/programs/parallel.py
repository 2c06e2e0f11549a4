"""Trains a linear model on a store by gloo: `parallel.py URL RANK WORLD PORT BATCH`; prints the last loss as hex."""

import os
import sys

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import lamofc_store as lamofc


def main(url: str, rank: str, world: str, port: str, batch: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=int(rank), world_size=int(world))
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Linear(16, 3, dtype=torch.float64))
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    with lamofc.open(url) as store:
        loader = lamofc.FeatureLoader(
            store.dataset(["pooled"], target="label"), int(batch) // int(world), shuffle=True, dtype=torch.float64
        )
        for _ in range(3):
            for samples in loader:
                loss = cross_entropy(model(samples["pooled"]), samples["label"])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                distributed.all_reduce(loss.detach(), distributed.ReduceOp.SUM)
    if rank == "0":
        print(" ".join(f"{value:.12f}" for value in model.module.weight.detach().flatten().tolist()))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
