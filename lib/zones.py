"""Time zones: the IANA data that is packed with the function, whatever the machine has. Pure."""

from datetime import tzinfo
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@cache
def names() -> frozenset[str]:
    """Every name that there is, as it is spelled."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").splitlines())


@cache  # two mentions of a zone are the same
def zone(name: str) -> tzinfo:
    """The zone of one of those names, such as `Europe/Berlin`."""
    file = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with file.open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
