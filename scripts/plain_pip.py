"""pip as the lock files mean it: python scripts/plain_pip.py install ...

Where packages come from is the caller's to say, in the environment or in pip.conf: an index, a
proxy, certificates. What pip does with them is not: `user`, `prefix`, `target`, a constraint and
the like are meant for other installations, and would put the packages elsewhere or refuse them.
"""

import ast
import os
import re
import subprocess
import sys

SOURCES = (
    *("index-url", "extra-index-url", "no-index", "find-links", "trusted-host"),
    *("cert", "client-cert", "use-feature", "keyring-provider", "proxy"),
    *("timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"),
)
PIP = (sys.executable, "-X", "utf8", "-m", "pip")  # a path may have any letters in any locale


def main(arguments: list[str]) -> None:
    """Become pip."""
    os.execve(sys.executable, [*PIP, *arguments], environment(arguments[0]))  # noqa: S606 - no shell is the point


def environment(command: str) -> dict[str, str]:
    """The caller's environment, with nothing of pip's in it but where packages come from."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    file = os.environ.get("PIP_CONFIG_FILE")
    settings = written(bare | ({"PIP_CONFIG_FILE": file} if file else {}))
    for source in SOURCES:
        name = f"PIP_{source.replace('-', '_').upper()}"
        chosen = (
            os.environ.get(name)
            or settings.get((command, source))
            or settings.get(("global", source))
        )
        if chosen:
            bare[name] = chosen
    return bare | {"PIP_CONFIG_FILE": os.devnull}


def written(environ: dict[str, str]) -> dict[tuple[str, str], str]:
    """What pip.conf says, wherever it lies, by section and name."""
    listed = subprocess.run(  # noqa: S603 - our own pip
        [*PIP, "config", "list"], env=environ, stdout=subprocess.PIPE, text=True, check=False
    )
    if listed.returncode:  # pip has said which file it cannot read
        sys.exit(listed.returncode)
    lines = re.findall(r"^(\w+)\.([\w-]+)=(['\"].*)$", listed.stdout, re.MULTILINE)
    return {(section, name): ast.literal_eval(value) for section, name, value in lines}


if __name__ == "__main__":
    main(sys.argv[1:])
