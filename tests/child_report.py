"""A child process that tells what it was given: its folder, environment, search path and Python's flags."""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    report = {"folder": str(Path.cwd()), "environment": dict(os.environ), "path": sys.path, "arguments": sys.argv[1:]}
    print(json.dumps({**report, "isolated": sys.flags.isolated, "safe_path": sys.flags.safe_path}))
