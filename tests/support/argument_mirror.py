"""Print arguments, environment and input, then exit as ordered: `python -m tests.support.argument_mirror exit 3`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb

if __name__ == "__main__":
    program = [sys.executable, "-Ec", "import os; print(dict(os.environ))"]
    seen = {
        "arguments": sys.argv[1:],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "environment of its processes": subprocess.check_output(program, text=True),
        "stdin": sys.stdin.read(),
        "progress": duckdb.connect().execute("select current_setting('enable_progress_bar')").fetchall(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    }
    print(json.dumps(seen, indent=1))
    print("to stderr", file=sys.stderr)
    sys.stdout.flush()
    match sys.argv[1]:
        case "exit":
            sys.exit(int(sys.argv[2]))
        case "fail":
            sys.exit(sys.argv[2])
        case "kill":
            os.kill(os.getpid(), int(sys.argv[2]))
    signal.pause()
