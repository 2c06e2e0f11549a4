"""Processes that fetch records for a loader; whatever becomes of one of them, an error comes and never a silence."""

import contextlib
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import process
from typing import Any, Literal

from torch.utils.data import DataLoader, Dataset, Sampler

from lamofc_store.errors import StoreError, WorkerLost
from lamofc_store.loading.dataset import FeatureDataset, Fetched

Start = Literal["forkserver", "spawn", "fork"]

_GUARD = "put what runs under these two lines: if __name__ == '__main__': and main()"


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of a worker, on its way to whoever asked."""

    error: StoreError


class _Fetching(Dataset["Fetched | Failed"]):
    """What a worker does."""

    def __init__(self, dataset: FeatureDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, indices: list[int]) -> "Fetched | Failed":
        try:
            return self.dataset.fetched(indices)
        except StoreError as error:
            return Failed(error)


class _Turn(Sampler[list[int]]):
    """The batches that are to be fetched in this epoch; others in the next, by the same processes."""

    def __init__(self) -> None:
        self.dealing: Iterable[list[int]] = ()

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.dealing)


class Workers:
    """So many processes, started when they are first needed."""

    def __init__(self, dataset: FeatureDataset, count: int, start: Start, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        self._turn = _Turn()
        self._loader: DataLoader[Any] = DataLoader(
            _Fetching(dataset),
            batch_size=None,
            sampler=self._turn,
            num_workers=count,
            collate_fn=_same,
            multiprocessing_context=start,
            persistent_workers=True,
            **options,
        )

    def fetched(self, dealing: Iterable[list[int]]) -> Iterator[Fetched]:
        """What those batches need, in their order."""
        if getattr(process.current_process(), "_inheriting", False):
            raise WorkerLost("a worker imports the program, which starts workers while it is imported", _GUARD)
        self._turn.dealing = dealing
        return _checked(self._watched())

    def _watched(self) -> Generator[Any, None, None]:
        """What comes from the processes; who gives nothing in time is killed, and torch notices who is gone."""
        late = threading.Event()
        try:
            pieces = iter(self._loader)
            while True:
                guard = threading.Timer(self._timeout, self._kill, [late])
                guard.daemon = True
                guard.start()
                try:
                    piece = next(pieces, None)
                finally:
                    guard.cancel()
                if piece is None:
                    return
                yield piece
        except (RuntimeError, EOFError, ConnectionError) as error:
            told = str(error) or type(error).__name__
            if isinstance(error, RuntimeError) and "DataLoader" not in told:
                raise
            what = f"gave nothing for {self._timeout:g} s" if late.is_set() else f"is gone: {told}"
            raise WorkerLost(
                f"a worker {what}",
                "state_dict() says where to go on; fewer workers or prefetch=1 take less memory, workers=0 takes none; "
                f"of a program that starts workers, {_GUARD}",
            ) from error

    def _kill(self, late: threading.Event) -> None:
        late.set()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Their process ids."""
        started = getattr(self._loader, "_iterator", None)
        return [worker.pid for worker in getattr(started, "_workers", ()) if worker.pid is not None]


def _same(fetched: Any) -> Any:
    return fetched


def _checked(pieces: Iterable[Any]) -> Iterator[Fetched]:
    for piece in pieces:
        if isinstance(piece, Failed):
            raise piece.error
        yield piece
