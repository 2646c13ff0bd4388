"""A Ray cluster and an S3 server of this machine, each started once; tests of what is not installed are skipped."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from scale.starting import prepare_environment, start_ray

from artifact_utils.scale.scale_options import INSTALL

prepare_environment()


@pytest.fixture(scope="session")
def ray() -> Iterator[ModuleType]:
    ray = pytest.importorskip("ray", reason=f"needs Ray: {INSTALL}")
    start_ray()
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server() -> Iterator["object"]:
    pytest.importorskip("s3fs", reason=f"needs s3fs: {INSTALL}")
    pytest.importorskip("moto.server", reason="needs python -m pip install 'moto[s3,server]'")
    from scale.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server, monkeypatch) -> Iterator["object"]:
    """The server with an empty bucket ``bucket``, and the variables that say where it is."""
    import fsspec

    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
    yield s3_server
    s3_server.reset()
