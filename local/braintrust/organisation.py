"""GET /v1/user, /v1/group, /v1/project, and the making of a project."""

import uuid

from starlette.responses import Response

from local.braintrust.answers import Refusal
from local.braintrust.exchange import Exchange, json_answer
from local.braintrust.merge import Row
from local.braintrust.store import Store


def list_users(exchange: Exchange) -> Response:
    exchange.authenticate()
    _know_params(exchange, "email", "given_name", "family_name", "org_name")
    wanted = _several(exchange.params.get("email"))
    if exchange.options.refuse_odd_user_ids and not all(
        map(_is_uuid, _several(exchange.params.get("ids")))
    ):
        raise Refusal(400, "ids: invalid uuid")
    fold = str if exchange.options.emails_mind_case else str.lower
    emails = {fold(email) for email in wanted}
    users = [
        user for user in exchange.store.users if not wanted or fold(user["email"] or "") in emails
    ]
    for name in ("given_name", "family_name"):
        if names := exchange.params.get(name):
            users = [user for user in users if user[name] in names]
    return _objects_page(exchange, users)


def list_groups(exchange: Exchange) -> Response:
    exchange.authenticate()
    _know_params(exchange, "group_name", "org_name")
    name = exchange.param("group_name")
    return _objects_page(exchange, [g for g in exchange.store.groups if name in {None, g["name"]}])


def projects(exchange: Exchange) -> Response:
    exchange.authenticate()
    if exchange.request.method == "POST":
        return _create_project(exchange.store, exchange.body())
    _know_params(exchange, "project_name", "org_name")
    name = exchange.param("project_name")
    return _objects_page(
        exchange, [p for p in exchange.store.projects if name in {None, p["name"]}]
    )


def _create_project(store: Store, body: Row) -> Response:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "name: required")
    if not any(project["name"] == name for project in store.projects):
        store.add_project(name)
    return json_answer(next(project for project in store.projects if project["name"] == name))


def _know_params(exchange: Exchange, *names: str) -> None:
    if unknown := exchange.params.keys() - {"ids", "limit", "starting_after", *names}:
        raise Refusal(400, f"Not supported by the local server: {', '.join(sorted(unknown))}")


def _objects_page(exchange: Exchange, objects: list[Row]) -> Response:
    ids = _several(exchange.params.get("ids"))
    chosen = [found for found in objects if not ids or found["id"] in ids]
    limit = exchange.param("limit") or str(exchange.options.objects_per_page)
    if not limit.isdecimal():
        raise Refusal(400, "limit: expected a non-negative integer")
    after = exchange.param("starting_after")
    if after is not None and exchange.effects.hostile != "repeating_objects":
        position = next((i for i, found in enumerate(chosen) if found["id"] == after), None)
        if position is None:
            raise Refusal(400, f"starting_after: no object {after}")
        chosen = chosen[position + 1 :]
    page = chosen[: min(int(limit), exchange.options.objects_per_page)]
    exchange.record.rows = len(page)
    return json_answer({"objects": page})


def _several(values: list[str] | None) -> list[str]:
    """Return a repeatable parameter's values; the official Python client joins them with commas."""
    return [part for value in values or () for part in value.split(",")]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
