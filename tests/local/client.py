"""A plain HTTP client of the local Braintrust, and its queries in JSON form."""

from typing import Any

import requests

from local.braintrust.server import LocalBraintrust

Ast = dict[str, Any]


def ident(*path: str) -> Ast:
    return {"op": "ident", "name": list(path)}


def literal(value: Any) -> Ast:
    return {"op": "literal", "value": value}


class Client:
    """Speaks to the server as any HTTP client would: no retries, no redirects followed."""

    def __init__(self, braintrust: LocalBraintrust) -> None:
        self.braintrust = braintrust
        self.session = requests.Session()
        self.session.headers["authorization"] = f"Bearer {braintrust.api_key}"

    def request(self, method: str, path: str, **how: Any) -> requests.Response:
        how = {"timeout": 10, "allow_redirects": False} | how
        return self.session.request(method, self.braintrust.url + path, **how)

    def query(self, query: Any, **flags: Any) -> requests.Response:
        return self.request("POST", "/btql", json={"query": query, **flags})

    def ask(self, query: Any, **flags: Any) -> dict[str, Any]:
        """The envelope of a query that must succeed."""
        response = self.query(query, **flags)
        assert response.status_code == 200, response.text
        return response.json()

    def ids(self, query: Any) -> list[str]:
        return [row["id"] for row in self.ask(query)["data"]]

    def filtered(self, condition: Any) -> list[str]:
        """The ids of the rows that pass a filter: an expression's text, or its AST."""
        text = f"select: id | from: {self.source} | filter: {condition}"
        return self.ids(text if isinstance(condition, str) else self.ast(filter=condition))

    def refusal(self, query: Any, **flags: Any) -> tuple[int, str]:
        response = self.query(query, **flags)
        return response.status_code, response.json()["Message"]

    @property
    def source(self) -> str:
        return f"project_logs('{self.braintrust.project_id}')"

    def ast(self, *columns: str, **clauses: Any) -> Ast:
        return {
            "select": [{"alias": name, "expr": ident(name)} for name in columns or ("id",)],
            "from": {
                "op": "function",
                "name": ident("project_logs"),
                "args": [literal(self.braintrust.project_id)],
            },
            **clauses,
        }

    def pages(self, **clauses: Any) -> list[list[str]]:
        """The ids on every page, cursor after cursor."""
        pages, cursor = [], None
        while not pages or cursor:
            page = self.ask(self.ast(**clauses, **({"cursor": cursor} if cursor else {})))
            pages.append([row["id"] for row in page["data"]])
            cursor = page.get("cursor")
            assert len(pages) < 100, "the pages do not end"
        return pages

    def insert(self, *events: Any, **how: Any) -> requests.Response:
        path = f"/v1/project_logs/{self.braintrust.project_id}/insert"
        return self.request("POST", path, json={"events": list(events)}, **how)

    def merge(self, row_id: str, **fields: Any) -> requests.Response:
        return self.insert({"id": row_id, "_is_merge": True, **fields})
