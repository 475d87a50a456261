"""Known vulnerabilities of locked requirements: python scripts/advisories.py requirements.txt.

Fails when there is one. When they cannot be looked up (no network, or a mirror that does not carry
the data) it says so loudly and fails only with AUDIT_STRICT=1, as CI on GitHub sets it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

NETWORK = (
    "ConnectionError",
    "NameResolutionError",
    "Max retries exceeded",
    "Timeout",
    "ServiceError",
)


def main(lock: str) -> int:
    """Ask PyPI's advisory data about every line of the lock file; the exit code."""
    pip_audit = Path(sys.executable).with_name("pip-audit")
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    audit = subprocess.run(  # noqa: S603 - our own tool
        [pip_audit, *options, "-r", lock], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(audit.stderr.strip()[-2000:], file=sys.stderr)
        if any(word in audit.stderr for word in NETWORK):
            return not_audited("the vulnerability service cannot be reached")
        return 1
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for flaw in package["vulns"]:
            names = ", ".join([flaw["id"], *flaw["aliases"]])
            fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {names}; fixed in {fixed}")
    if vulnerable:
        return 1
    if unknown := [package["name"] for package in packages if "skip_reason" in package]:
        return not_audited(f"the package index has no advisory data for {', '.join(unknown)}")
    print(f"no known vulnerabilities in {len(packages)} packages of {lock}")
    return 0


def not_audited(why: str) -> int:
    """Say that nothing is known, so that nobody takes it for good news."""
    print(
        f"\n*** NOT AUDITED: {why}.\n*** Nothing is known about vulnerabilities; run `make "
        "advisories` where it is.\n"
    )
    return 1 if os.environ.get("AUDIT_STRICT") == "1" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
