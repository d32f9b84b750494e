#!/venv/bin/python
"""boot.py: starts the application by the image's own command, waits until it is ready, and stops it.

SMOKE_TEST=0 leaves that out. The record of the proof says which it was.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import healthcheck

# The image's command and its health check, as its config names them.
COMMAND = ["serve"]
HEALTHCHECK = ["healthcheck"]

RECORD = Path("/tmp/proof/usr/share/facecraft/proof.json")
SETTLED = 315532800

Answer = tuple[int | None, str]


class Failed(Exception):
    """What the application did wrong."""


class Application:
    """A started application and its log."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, it lives as long as the application
        try:
            self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=dict(environment))
        except OSError as error:
            self._log.close()
            raise Failed(f"the image's command cannot be started: {error}") from error

    def log(self, length: int = 8000) -> str:
        """The end of what it said."""
        self._log.seek(0)
        return self._log.read()[-length:]

    def wait_until_ready(self, ask: Callable[[], Answer], path: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (answer := ask())[0] != 200:
            if self._process.poll() is not None:
                raise Failed(f"the application ended with code {self._process.returncode} before {path} answered 200")
            if time.monotonic() > deadline:
                last = " ".join(str(part) for part in answer if part is not None)
                raise Failed(f"{path} did not answer 200 within {seconds:g} s; its last answer: {last}")
            time.sleep(0.1)

    def stop(self, seconds: float = 30) -> None:
        """As an orchestrator stops it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the application did not stop within {seconds:g} s of SIGTERM") from None
        if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            raise Failed(f"the application ended with code {code} on SIGTERM")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def check_health(command: list[str]) -> None:
    """The image's health check says of a ready application that it is."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise Failed(f"the application is ready, but the image's health check ended with {done.returncode}: {said}")


def complete(record: Path, boot: str) -> None:
    """Adds to the record of the proof; its time is settled like that of the other layers."""
    record.write_text(json.dumps({**json.loads(record.read_text()), "boot": boot}, indent=1) + "\n")
    for path in (record, *record.parents[:3]):
        os.utime(path, (SETTLED, SETTLED))


def boot(seconds: float) -> None:
    """Raises Failed; what the application said is then on stderr."""
    # No GPU takes part in this.
    application = Application(COMMAND, {**os.environ, "FACECRAFT_DEVICE": "cpu"})
    try:
        application.wait_until_ready(healthcheck.ask_image, os.environ["HEALTHCHECK_PATH"], seconds)
        check_health(HEALTHCHECK)
        application.stop()
    except Failed:
        application.kill()
        print(application.log(), file=sys.stderr)
        raise


def main(environment: Mapping[str, str]) -> None:
    if environment["SMOKE_TEST"] == "0":
        complete(RECORD, "off")
        return
    boot(float(environment["SMOKE_TIMEOUT"]))
    complete(RECORD, "passed")


if __name__ == "__main__":
    try:
        main(os.environ)
    except Failed as failure:
        sys.exit(f"proof: {failure}")
