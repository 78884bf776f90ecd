"""Main file in place of the Spark job, which starts at once. It reads the zip's code, as the job does.

It does not prove that Spark starts; one test of each service runs the real job for that.
"""

import signal
import sys

from lake_assets.bucket import write

what, url = sys.argv[1:3]
write(f"{url}/started", b"")
if what == "succeed":
    write(f"{url}/answer", b"42")
elif what == "fail":
    sys.exit("the data is not there")
else:
    signal.pause()
