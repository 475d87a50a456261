"""The stack that a first deployment makes."""

import pytest

from tests.template.cloudformation import Stack


@pytest.fixture(scope="session")
def stack() -> Stack:
    return Stack()


@pytest.fixture(scope="session")
def function(stack: Stack) -> dict[str, object]:
    ((_, properties),) = stack.of_type("AWS::Lambda::Function").items()
    return properties
