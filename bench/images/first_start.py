"""first_start.py COMMAND...: starts an image's command where it never ran, and waits until /ready answers 200.

Prints as JSON the seconds of the clock and of the processors until then.
"""

import http.client
import json
import resource
import subprocess
import sys
import time


def is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=9)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


started = time.monotonic()
process = subprocess.Popen(sys.argv[1:])
while not is_ready():
    if process.poll() is not None:
        sys.exit(f"the application ended with {process.returncode}")
    time.sleep(0.05)
wall = time.monotonic() - started
process.kill()
process.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime}), flush=True)
