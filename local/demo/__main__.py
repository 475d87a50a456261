"""`python -m local.demo` (`make run`): see local.demo.play.

Loading that takes a second, in which Ctrl-C ends it, too.
"""

import importlib
import signal
import sys


def main() -> int:
    """Play; 128 and more if it was stopped."""
    try:
        code: int = importlib.import_module("local.demo.play").main()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    return code


if __name__ == "__main__":
    sys.exit(main())
