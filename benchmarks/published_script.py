"""The same job as Braintrust's knowledge base has it: "Assigning log rows to users for review using the API".

Written anew after its description, with its names and defaults: one request after the other, each on a
connection of its own, the query as text with the cursor inside, the end at a page without a cursor or a short one,
inserts of 1,000 rows.
"""

from typing import Any

import requests

DAYS = 7
LIMIT = 1000
BATCH_SIZE = 1000
MAX_PAGES = 10_000
TIMEOUT = 120

Row = dict[str, Any]


class Script:
    """The constants that people fill in at the top of the script."""

    def __init__(
        self, api_url: str, api_key: str, project_id: str, tag: str, user_ids: list[str]
    ) -> None:
        self.api_url = api_url
        self.headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self.project_id = project_id
        self.tag = tag
        self.user_ids = user_ids

    def build_query(self, cursor: str | None) -> str:
        query = (
            'select: id, tags, metadata."~__bt_assignments" AS assignments'
            f" | from: project_logs('{self.project_id}')"
            f" | filter: tags INCLUDES '{self.tag}' AND created >= now() - interval {DAYS} day"
            f" | limit: {LIMIT}"
        )
        return f"{query} | cursor: '{cursor}'" if cursor else query

    def fetch_all_logs(self) -> list[Row]:
        rows: list[Row] = []
        cursor = None
        for _ in range(MAX_PAGES):
            response = requests.post(
                f"{self.api_url}/btql",
                headers=self.headers,
                json={"query": self.build_query(cursor), "fmt": "json"},
                timeout=TIMEOUT,
            )
            response.raise_for_status()
            body = response.json()
            page = body.get("data") or []
            rows.extend(page)
            following = body.get("cursor") or response.headers.get("x-bt-cursor")
            if not following or following == cursor or len(page) < LIMIT:
                break
            cursor = following
        return rows

    def distribute(self, ids: list[str]) -> list[tuple[str, str]]:
        each, extra = divmod(len(ids), len(self.user_ids))
        assignments, start = [], 0
        for number, user_id in enumerate(self.user_ids):
            end = start + each + (number < extra)
            assignments += [(row_id, user_id) for row_id in ids[start:end]]
            start = end
        return assignments

    def assign_batch(self, batch: list[tuple[str, str]]) -> None:
        events = [
            {
                "id": row_id,
                "metadata": {
                    "~__bt_assignments": [user_id],
                    "~__bt_review_lists": {"__bt_default_review_list": {"status": "PENDING"}},
                },
                "_is_merge": True,
                "_merge_paths": [["metadata", "~__bt_assignments"]],
            }
            for row_id, user_id in batch
        ]
        response = requests.post(
            f"{self.api_url}/v1/project_logs/{self.project_id}/insert",
            headers=self.headers,
            json={"events": events},
            timeout=TIMEOUT,
        )
        response.raise_for_status()

    def run(self) -> int:
        """Assign every unassigned row; how many there were."""
        unassigned = [row["id"] for row in self.fetch_all_logs() if not row.get("assignments")]
        assignments = self.distribute(unassigned)
        for start in range(0, len(assignments), BATCH_SIZE):
            self.assign_batch(assignments[start : start + BATCH_SIZE])
        return len(assignments)
