"""application.py: the application as a process that is started, asked, measured and stopped from outside."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from failed import Failed

# The status of an answer and the start of its text; no status where there was no answer.
Answer = tuple[int | None, str]

# The most of a log that is read, in bytes from its end.
LOG = 4 << 20


class Application:
    """A started application and its log."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        # A file that is appended to: both of its streams keep their order, and it can be read while it grows.
        self._log = tempfile.NamedTemporaryFile("ab")  # noqa: SIM115, it lives as long as the application
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=dict(environment))
        except OSError as error:
            self._log.close()
            raise Failed(f"the image's command cannot be started: {error}") from error

    def log(self, length: int, without: str | None = None) -> str:
        """The end of what it said, at most as many characters; without the lines that contain something."""
        with Path(self._log.name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG))
            lines = file.read(LOG).decode(errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if without is None or without not in line)[-length:]

    def wait_until_ready(self, ask: Callable[[], Answer], path: str, seconds: float) -> float:
        """The seconds from its start to its first answer 200; it is asked every 50 ms."""
        deadline = time.monotonic() + seconds
        while (answer := ask())[0] != 200:
            if (code := self.ended()) is not None:
                raise Failed(f"the application ended with code {code} before {path} answered 200")
            if time.monotonic() > deadline:
                last = " ".join(str(part) for part in answer if part is not None)
                raise Failed(f"{path} did not answer 200 within {seconds:g} s; its last answer: {last}")
            time.sleep(0.05)
        return time.monotonic() - self._started

    def ended(self, seconds: float = 0) -> int | None:
        """The code that it ended with, or does within the time; None while it runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def peak_memory(self) -> int:
        """Bytes: the most that each of its processes has had in memory, in sum. What they share counts in each."""
        return sum(_peak(process) for process in _tree(self._process.pid))

    def stop(self, seconds: float = 30) -> None:
        """As an orchestrator stops it."""
        if (code := self.ended()) is not None:
            raise Failed(f"the application ended with code {code} before it was told to stop")
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


def _status(process: int, field: str) -> int:
    """A number of /proc/PID/status; 0 where there is none, as of a process that has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field}:")), 0)


def _peak(process: int) -> int:
    return _status(process, "VmHWM") * 1024


def _tree(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {pid: _status(pid, "PPid") for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*"))}
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return tree
