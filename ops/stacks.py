"""A deployed stack's outputs, and what AWS's refusals mean to whoever stands at the terminal."""

from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    SSOError,
    TokenRetrievalError,
)


class NoStackError(Exception):
    """Raised when there is no stack of this name in the region."""


def outputs(stack: str) -> dict[str, str]:
    """The stack's outputs: FunctionName, ... Raises NoStackError."""
    client: Any = boto3.client("cloudformation")
    try:
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise NoStackError(
            f"no stack {stack} in region {client.meta.region_name}; name another: STACK=..."
        ) from error
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def reason(error: BotoCoreError | ClientError | OSError) -> str:
    """The error in words that say what to do, where we know it."""
    if isinstance(error, NoRegionError):
        return "No region: export AWS_DEFAULT_REGION=... (the one you deployed to)"
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials: set AWS_PROFILE, or run `aws sso login` or `aws configure`"
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"{error}: run `aws sso login`"
    return str(error)
