"""The AWS side: clients made once a container, and the two things kept outside the environment."""

import json
import string
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from lib.errors import ConfigurationError
from lib.settings import Settings, is_webhook

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY_FIELD = "BRAINTRUST_API_KEY"


ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
USELESS = "\ufeff"  # a byte order mark, which editors leave in a file


@cache
def _client(service: str, environment: frozenset[tuple[str, str]]) -> Any:  # noqa: ANN401 - boto3's clients share no type
    """A client as the SDK makes it of the process's AWS_* variables.

    It is made once for each `environment` of them.
    """
    elsewhere = any(name in ENDPOINTS for name, _ in environment)
    try:
        return boto3.client(
            service,  # type: ignore[call-overload] # one name of many
            config=Config(
                # These three together: a service that hangs costs a run 20 seconds, not its audit.
                connect_timeout=3,
                read_timeout=5,
                retries={"mode": "standard", "total_max_attempts": 3},
                # A local server answers to one host name.
                s3={"addressing_style": "path"} if elsewhere else None,
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"AWS: {error}: check AWS_REGION, AWS_ENDPOINT_URL (with its scheme) and the profile"
        ) from error


class Aws:
    """What a run needs of AWS, found through the SDK's own variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environment = frozenset(
            (name, value) for name, value in environ.items() if name.startswith("AWS_")
        )

    def s3(self) -> "S3Client":
        """The S3 client."""
        client: S3Client = self._client("s3")
        return client

    def _client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients share no type
        return _client(service, self._environment)

    def reviewers(self, settings: Settings) -> str:
        """The text of the reviewers parameter. Raises ConfigurationError if it cannot be read."""
        variable = "REVIEWERS_PARAMETER"
        if settings.queue:
            variable = f"the reviewers of queue {settings.queue}"
        return self._parameter(variable, settings.reviewers_parameter)

    def queues(self, name: str) -> str:
        """The text of the queues parameter. Raises ConfigurationError if it cannot be read."""
        return self._parameter("QUEUES_PARAMETER", name)

    def api_key(self, settings: Settings) -> str:
        """The Braintrust API key.

        Raises ConfigurationError, which never shows it, if there is none to use.
        """
        if settings.braintrust_api_key_parameter:
            source = f"BRAINTRUST_API_KEY_PARAMETER {settings.braintrust_api_key_parameter}"
            key = self._parameter(
                "BRAINTRUST_API_KEY_PARAMETER", settings.braintrust_api_key_parameter
            )
        else:
            source = f"BRAINTRUST_API_KEY_SECRET_ID {settings.braintrust_api_key_secret_id}"
            key = self._secret(settings.braintrust_api_key_secret_id)
            key = key.lstrip(USELESS + string.whitespace)
            if key.startswith("{"):
                key = _key_field(key, source)
        key = _tidy(key)
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"{source} holds no usable API key: one line of plain characters, such as sk-..."
            )
        return key

    def webhook(self, settings: Settings) -> str:
        """The address that the digest is posted to.

        Raises ConfigurationError, which never shows it.
        """
        name = settings.webhook_parameter
        address = _tidy(self._parameter("WEBHOOK_PARAMETER", name))
        if not is_webhook(address):
            raise ConfigurationError(
                f"WEBHOOK_PARAMETER: SSM parameter {name} holds no address to post to: must be one "
                "https:// address (http:// only for a loopback host or host.docker.internal)"
            )
        return address

    def _parameter(self, variable: str, name: str) -> str:
        try:
            return str(SSMProvider(boto3_client=self._client("ssm")).get(name, decrypt=True))
        except GetParameterError as error:
            raise ConfigurationError(
                f"{variable}: SSM parameter {name} cannot be read ({_brief(error)}): "
                "check that it exists in this region and that the function may read it"
            ) from error

    def _secret(self, name: str) -> str:
        provider = SecretsProvider(boto3_client=self._client("secretsmanager"))
        try:
            secret = provider.get(name)
        except GetParameterError as error:
            raise ConfigurationError(
                f"BRAINTRUST_API_KEY_SECRET_ID: secret {name} cannot be read ({_brief(error)}): "
                "check that it exists in this region and that the function may read it"
            ) from error
        try:
            return secret.decode() if isinstance(secret, bytes) else str(secret)
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"BRAINTRUST_API_KEY_SECRET_ID: secret {name} is not text in UTF-8: store the key "
                "again, as plain text"
            ) from None  # the error quotes the secret


def _tidy(text: str) -> str:
    """Without what editors and copying leave around it."""
    return text.strip().strip(USELESS).strip()


def _key_field(secret: str, source: str) -> str:
    try:
        key = json.loads(secret)[KEY_FIELD]
    except (ValueError, KeyError, RecursionError):
        key = None
    if not isinstance(key, str):
        raise ConfigurationError(f'{source} holds JSON without the text field "{KEY_FIELD}"')
    return key


def _brief(error: Exception) -> str:
    """The name of what AWS refused, such as ParameterNotFound."""
    response = getattr(error.__context__, "response", None)
    return str(response["Error"]["Code"]) if response else str(error)[:200]
