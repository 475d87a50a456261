"""Work with a deployed stack: run it, undo one run, read what the last runs did.

python scripts/stack.py status|invoke|undo <stack> ...; region and credentials are the AWS SDK's usual ones.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# As long as a run may take; and one try, because repeating an invocation that did not answer starts another run.
PATIENT = Config(connect_timeout=10, read_timeout=930, retries={"total_max_attempts": 1})


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/stack.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="the last runs, from the audit")
    invoke = commands.add_parser("invoke", help="one run now, with an event from a file")
    undo = commands.add_parser("undo", help="take back what one run assigned")
    for command in (status, invoke, undo):
        command.add_argument("stack")
    status.add_argument("--last", type=int, default=10, metavar="N", help="so many runs (10)")
    invoke.add_argument("event", type=Path)
    undo.add_argument("run_id", nargs="?")
    undo.add_argument("--dry-run", action="store_true")
    chosen = parser.parse_args()
    try:
        if chosen.command == "status":
            return show_runs(chosen.stack, chosen.last)
        if chosen.command == "invoke":
            return invoke_function(chosen.stack, json.loads(chosen.event.read_text()))
        if not chosen.run_id:
            sys.exit("which run? make undo RUN_ID=... (make status lists them)")
        return invoke_function(chosen.stack, {"undo": chosen.run_id, "dry_run": chosen.dry_run})
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {error}")


def outputs(stack: str) -> dict[str, str]:
    """The stack's outputs: FunctionName, AuditBucketName, AuditPrefix, ..."""
    found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def invoke_function(stack: str, event: Any) -> int:  # noqa: ANN401 - any JSON
    """Run the function with the event and print what it returns; 1 if it raised."""
    answer = boto3.client("lambda", config=PATIENT).invoke(
        FunctionName=outputs(stack)["FunctionName"], Payload=json.dumps(event).encode()
    )
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        print(f"{result.get('errorType', 'error')}: {result.get('errorMessage', result)}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


def show_runs(stack: str, last: int) -> int:
    """Print the last runs of the stack, dry ones too, newest first."""
    out = outputs(stack)
    bucket, prefix = out["AuditBucketName"], out["AuditPrefix"]
    keys = newest_runs(bucket, prefix, last)
    if not keys:
        print(f"no run has been recorded yet in s3://{bucket}/{prefix}")
        return 0
    s3 = boto3.client("s3")
    print(
        f"{'run':38} {'status':18} {'fetched':>8} {'needed':>8} {'assigned':>8} {'failed':>7} {'deferred':>8} {'sec':>6}"
    )
    for key in keys:
        run = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        counts = [run.get(name, "") for name in ("fetched", "unassigned", "assigned", "failed", "deferred")]
        print(
            f"{run['run_id'][:38]:38} {run['status']:18} {counts[0]:>8} {counts[1]:>8} {counts[2]:>8} "
            f"{counts[3]:>7} {counts[4]:>8} {run.get('duration_ms', 0) / 1000:>6.1f}"
        )
        for warning in run.get("warnings", []):
            print(f"    warning: {warning}")
    print(f"\ns3://{bucket}/{keys[0]} is the newest")
    return 0


def newest_runs(bucket: str, prefix: str, count: int) -> list[str]:
    """Keys of the newest run records: days are walked backwards, so that a year's audit is not listed."""
    s3 = boto3.client("s3")
    days = [
        day
        for kind in ("runs", "dry_runs")
        for project in folders(s3, bucket, f"{prefix}{kind}/")
        for day in folders(s3, bucket, project)
    ]
    keys: list[str] = []
    for date in sorted({day.rstrip("/").rsplit("/", 1)[1] for day in days}, reverse=True):
        for day in days:
            if day.endswith(f"/{date}/"):
                pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=day)
                keys += [found["Key"] for page in pages for found in page.get("Contents", [])]
        if len(keys) >= count:
            break
    return sorted(keys, key=lambda key: key.rsplit("/", 1)[1], reverse=True)[:count]


def folders(s3: Any, bucket: str, prefix: str) -> list[str]:  # noqa: ANN401 - boto3's clients share no type
    """What lies under a prefix, up to the next slash."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]


if __name__ == "__main__":
    sys.exit(main())
