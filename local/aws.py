"""An AWS on this machine: moto's HTTP server, with the bucket, secret and parameter a run needs.

`python -m local.aws` is one in a process of its own.
"""

import argparse
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from local.keep import Keep
from local.listen import listen

HOST = "127.0.0.1"
BUCKET = "review-assigner-audit"
SECRET = "review-assigner/braintrust-api-key"  # noqa: S105 - its name
REVIEWERS = "/review-assigner/reviewers"
PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
QUEUES = "/review-assigner/queues"
WEBHOOK = "/review-assigner/webhook"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def forget_real_aws() -> None:
    """Take every trace of a real AWS account and of a proxy for this machine from the environment.

    What steers Powertools too: a log level for other work would leave a run without its lines.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "POWERTOOLS_")) or name == "LOG_LEVEL":
            del os.environ[name]
    os.environ |= CREDENTIALS | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HOST, "localhost"]))


def forget_proxies() -> None:
    """Take every proxy out of the environment, for what speaks to this machine alone.

    Some kinds of proxy need libraries.
    """
    for name in list(os.environ):
        if name.lower() in PROXIES:
            del os.environ[name]


class _Moto(DomainDispatcherApplication):
    """Looks a host's part of moto up once: moto itself searches all its folders at each request."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self.get_backend_for_host = cache(super().get_backend_for_host)  # type: ignore[method-assign]


class LocalAws:
    """The server in a thread of this process. Call `forget_real_aws` first.

    Raises CannotListenError.
    """

    def __init__(self, host: str = HOST, port: int = 0) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
        self._moto = _Moto()
        with listen(host, port) as listener:  # the server keeps a duplicate
            self._server = make_server(host, port, self.answer, threaded=True, fd=listener.fileno())
        self.requests: list[str] = []
        """What was asked, in order: `PUT /bucket/key`, `SSM.GetParameter`."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="local-aws", daemon=True
        )
        self._clients: dict[str, Any] = {}
        self._prepared = False
        self._keep: Keep | None = None
        self.port = self._server.port
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._prepared:
            self._clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Every request comes through here, as WSGI has it."""
        path = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.requests.append(environ.get("HTTP_X_AMZ_TARGET", path).removeprefix("Amazon"))
        s3, _, key = environ["PATH_INFO"].encode("latin-1").decode().partition(f"/{BUCKET}/")
        if self._keep and key and not s3 and environ["REQUEST_METHOD"] == "PUT":
            return self._keep.put(key, self._moto, environ, start_response)
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients share no type
        if service not in self._clients:
            self._clients[service] = boto3.client(service, endpoint_url=self.url)  # type: ignore[call-overload] # one name of many
        return self._clients[service]

    def prepare(self, api_key: str, reviewers: str) -> None:
        """Make what a deployed function finds in its account."""
        self.client("s3").create_bucket(Bucket=BUCKET)
        self.client("secretsmanager").create_secret(Name=SECRET, SecretString=api_key)
        self.set_reviewers(reviewers)
        self._prepared = True

    def _clear(self) -> None:
        """Remove it again: moto holds it for the process, where the next server would find it."""
        objects, most = [{"Key": key} for key in self.keys()], 1000  # that S3 takes at once
        for start in range(0, len(objects), most):
            some = {"Objects": objects[start : start + most]}
            self.client("s3").delete_objects(Bucket=BUCKET, Delete=some)
        self.client("s3").delete_bucket(Bucket=BUCKET)
        self.client("secretsmanager").delete_secret(
            SecretId=SECRET, ForceDeleteWithoutRecovery=True
        )
        self.client("ssm").delete_parameters(Names=[REVIEWERS, QUEUES, WEBHOOK])

    def set_reviewers(self, reviewers: str) -> None:
        self.client("ssm").put_parameter(
            Name=REVIEWERS, Value=reviewers, Type="String", Overwrite=True
        )

    def set_queues(self, queues: str) -> None:
        """The queues; the variable QUEUES_PARAMETER is to name it."""
        self.client("ssm").put_parameter(Name=QUEUES, Value=queues, Type="String", Overwrite=True)

    def set_webhook(self, address: str) -> None:
        """Where digests go; the variable WEBHOOK_PARAMETER is to name it."""
        self.client("ssm").put_parameter(
            Name=WEBHOOK, Value=address, Type="SecureString", Overwrite=True
        )

    @property
    def variables(self) -> dict[str, str]:
        """The function's variables that point here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AUDIT_BUCKET": BUCKET,
            "BRAINTRUST_API_KEY_SECRET_ID": SECRET,
            "REVIEWERS_PARAMETER": REVIEWERS,
        }

    def keys(self) -> list[str]:
        """Every object's key in the bucket."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def copy_bucket(self, folder: Path) -> None:
        """Write every object of the bucket to a file, for people to look at.

        Only the ledger ever changes.
        """
        s3 = self.client("s3")
        for key in self.keys():
            path = folder / key
            if path.exists() and "/ledger/" not in key:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keep_in(self, keep: Keep) -> None:
        """Put back what was kept, and keep from now on what is put."""
        for key, body in keep.objects():
            self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        self._keep = keep


parser = argparse.ArgumentParser(prog="python -m local.aws", description="An AWS on this machine.")
parser.add_argument("--api-key", required=True, help="the secret's value")
parser.add_argument("--reviewers", required=True, help="the parameter's value")


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted; one line of JSON says which variables point a function here."""
    options = parser.parse_args(arguments)
    forget_real_aws()
    with suppress(KeyboardInterrupt), LocalAws() as aws:
        aws.prepare(options.api_key, options.reviewers)
        print(json.dumps(aws.variables), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
