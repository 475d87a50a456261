"""`python -m ops.report`."""

import sys

from ops.report.page import main

if __name__ == "__main__":
    sys.exit(main())
