"""A real S3 server as a fixture, and one OpenMP thread in each of several test processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a process a core. Threads of torch wait for each other in loops, and where they have to share a core with
    # another process, a product of small matrices takes twenty times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, object]]:
    """Storage options of a moto server that runs as a process of its own, with a bucket `lamofc`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    options: dict[str, object] = {
        "key": "test",
        "secret": "test",
        "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"},
    }
    try:
        _wait_for(port)
        import s3fs

        s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir("lamofc")
        yield options
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens at port {port}")
