"""A slow storage: one token bucket that meters the bytes of every reader in a benchmark."""

from __future__ import annotations

import threading
import time
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Bucket:
    """Bytes that may be read in a second, and seconds that each request waits; counts both."""

    def __init__(self, rate: float | None = None, latency: float = 0.0) -> None:
        """Allow `rate` bytes a second, or any number when None, with `latency` seconds for each request."""
        self.rate, self.latency = rate, latency
        self.bytes = self.requests = 0
        self._free = 0.0
        self._lock = threading.Lock()

    def take(self, count: int, requests: int = 1) -> None:
        """Wait until that many bytes would have arrived; requests made together wait together."""
        with self._lock:
            self.bytes += count
            self.requests += requests
            now = time.monotonic()
            self._free = max(self._free, now) + (count / self.rate if self.rate else 0.0)
            until = self._free + (self.latency if requests else 0.0)
        time.sleep(max(until - now, 0.0))

    def reset(self) -> None:
        """Set both counters to 0."""
        self.bytes = self.requests = 0


class ThrottledFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Local files behind a bucket: `throttled:///folder`. Ranges that are requested together wait together."""

    protocol = "throttled"
    bucket = Bucket()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        text = str(path)
        return LocalFileSystem._strip_protocol(text.removeprefix("throttled://"))

    def cat_ranges(self, paths: Any, starts: Any, ends: Any, *arguments: Any, **options: Any) -> Any:
        """Read ranges of files."""
        type(self).bucket.take(sum(end - start for start, end in zip(starts, ends, strict=True)), len(paths))
        return super().cat_ranges(paths, starts, ends, *arguments, **options)


def register() -> None:
    """Register the protocol with fsspec."""
    fsspec.register_implementation("throttled", ThrottledFileSystem, clobber=True)
