"""The AWS side: clients made once a container, and the two things that are kept outside the environment."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config

from lib.errors import ConfigurationError
from lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY_FIELD = "BRAINTRUST_API_KEY"


@cache
def _client(service: str, endpoint: str) -> Any:  # noqa: ANN401 - boto3's clients share no type
    return boto3.client(
        service,  # type: ignore[call-overload] # one name of many
        endpoint_url=endpoint or None,
        config=Config(
            connect_timeout=3,  # these three together: a service that hangs costs a run 20 seconds, not its audit
            read_timeout=5,
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path"}
            if endpoint
            else None,  # a local server answers to one host name
        ),
    )


@cache
def _ssm(endpoint: str) -> SSMProvider:
    return SSMProvider(boto3_client=_client("ssm", endpoint))


@cache
def _secrets(endpoint: str) -> SecretsProvider:
    return SecretsProvider(boto3_client=_client("secretsmanager", endpoint))


class Aws:
    """What a run needs of AWS, found through the SDK's own variables in `environ`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._endpoint = environ.get("AWS_ENDPOINT_URL", "")

    def s3(self) -> "S3Client":
        """The S3 client."""
        client: S3Client = _client("s3", self._endpoint)
        return client

    def reviewers(self, settings: Settings) -> str:
        """The text of the reviewers parameter. Raises ConfigurationError if it cannot be read."""
        return self._parameter("REVIEWERS_PARAMETER", settings.reviewers_parameter)

    def api_key(self, settings: Settings) -> str:
        """The Braintrust API key. Raises ConfigurationError, which never shows it, if there is none to use."""
        if settings.braintrust_api_key_parameter:
            source = f"BRAINTRUST_API_KEY_PARAMETER {settings.braintrust_api_key_parameter}"
            key = self._parameter(
                "BRAINTRUST_API_KEY_PARAMETER", settings.braintrust_api_key_parameter
            )
        else:
            source = f"BRAINTRUST_API_KEY_SECRET_ID {settings.braintrust_api_key_secret_id}"
            key = self._secret(settings.braintrust_api_key_secret_id)
            if key.lstrip().startswith("{"):
                key = _key_field(key, source)
        key = key.strip()
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"{source} holds no usable API key: one line of plain characters, such as sk-..."
            )
        return key

    def _parameter(self, variable: str, name: str) -> str:
        try:
            return str(_ssm(self._endpoint).get(name, decrypt=True, force_fetch=True))
        except GetParameterError as error:
            raise ConfigurationError(
                f"{variable}: SSM parameter {name} cannot be read ({_brief(error)}): "
                "check that it exists in this region and that the function may read it"
            ) from error

    def _secret(self, name: str) -> str:
        try:
            secret = _secrets(self._endpoint).get(name, force_fetch=True)
        except GetParameterError as error:
            raise ConfigurationError(
                f"BRAINTRUST_API_KEY_SECRET_ID: secret {name} cannot be read ({_brief(error)}): "
                "check that it exists in this region and that the function may read it"
            ) from error
        return secret.decode() if isinstance(secret, bytes) else str(secret)


def _key_field(secret: str, source: str) -> str:
    try:
        key = json.loads(secret)[KEY_FIELD]
    except (ValueError, KeyError):
        key = None
    if not isinstance(key, str):
        raise ConfigurationError(f'{source} holds JSON without the text field "{KEY_FIELD}"')
    return key


def _brief(error: Exception) -> str:
    """The name of what AWS refused, such as ParameterNotFound."""
    response = getattr(error.__context__, "response", None)
    return str(response["Error"]["Code"]) if response else str(error)[:200]
