"""A slow place to read from: one token bucket that every reader of a benchmark takes its bytes from."""

from __future__ import annotations

import threading
import time
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Bucket:
    """Bytes that may be read in a second, and seconds that each request waits; counts both."""

    def __init__(self, rate: float | None = None, latency: float = 0.0) -> None:
        self.rate, self.latency = rate, latency
        self.bytes = self.requests = 0
        self._free = 0.0
        self._lock = threading.Lock()

    def take(self, count: int, requests: int = 1) -> None:
        """Wait until so many bytes would have come; requests that are made together wait together."""
        with self._lock:
            self.bytes += count
            self.requests += requests
            now = time.monotonic()
            self._free = max(self._free, now) + (count / self.rate if self.rate else 0.0)
            until = self._free + (self.latency if requests else 0.0)
        time.sleep(max(until - now, 0.0))

    def empty(self) -> None:
        """Forget what was counted."""
        self.bytes = self.requests = 0


class ThrottledFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Local files behind a bucket: `throttled:///folder`; ranges that are asked for together are one wait."""

    protocol = "throttled"
    bucket = Bucket()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        text = str(path)
        return LocalFileSystem._strip_protocol(text.removeprefix("throttled://"))

    def cat_ranges(self, paths: Any, starts: Any, ends: Any, *arguments: Any, **options: Any) -> Any:
        """Ranges of files."""
        type(self).bucket.take(sum(end - start for start, end in zip(starts, ends, strict=True)), len(paths))
        return super().cat_ranges(paths, starts, ends, *arguments, **options)


def register() -> None:
    """Let fsspec know of it."""
    fsspec.register_implementation("throttled", ThrottledFileSystem, clobber=True)
