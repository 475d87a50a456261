"""One server for all tests of it, empty at the start of each, and a plain HTTP client."""

from collections.abc import Iterator

import pytest

from local.braintrust.server import LocalBraintrust
from tests.local.client import Client


@pytest.fixture(scope="session")
def server() -> Iterator[LocalBraintrust]:
    with LocalBraintrust() as braintrust:
        yield braintrust


@pytest.fixture
def braintrust(server: LocalBraintrust) -> LocalBraintrust:
    server.reset()
    return server


@pytest.fixture
def client(braintrust: LocalBraintrust) -> Client:
    return Client(braintrust)


@pytest.fixture(scope="session")
def session_client(server: LocalBraintrust) -> Client:
    """For property tests, whose examples share a fixture."""
    return Client(server)
