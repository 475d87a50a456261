"""A Braintrust in another process, steered through /_local/."""

from typing import Any

import requests

TIMEOUT = 60.0  # seconds; preloading takes some


class RemoteBraintrust:
    """The control surface of a server started with `python -m local.braintrust`.

    `get` and `post` take the route's name and its arguments: `remote.post("faults", {"kind":
    "query", "status": 503})`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self.project_id: str = self.get("health")["project_id"]

    def get(self, route: str, **asked: str) -> Any:  # noqa: ANN401 - any JSON
        return self._call("GET", route, params=asked)

    def post(self, route: str, arguments: object = None) -> Any:  # noqa: ANN401 - any JSON
        return self._call("POST", route, json={} if arguments is None else arguments)

    def delete(self, route: str) -> None:
        self._call("DELETE", route)

    def _call(self, method: str, route: str, **how: Any) -> Any:  # noqa: ANN401 - as requests has it
        response = self._session.request(
            method, f"{self.url}/_local/{route}", timeout=TIMEOUT, **how
        )
        if not response.ok:
            raise ValueError(f"{method} {route}: {response.text}")
        return response.json()
