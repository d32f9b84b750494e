"""opened.py: which of the image's models the application opens, whatever code it does that with.

The kernel tells (inotify), so what C++ code and subprocesses do counts; asking whether a file is there does not.
"""

import ctypes
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from failed import Failed

IN_OPEN = 0x20
# One event is enough: with it the watch ends, so a file that is opened a million times fills no queue.
IN_ONESHOT = 0x80000000
# wd, mask, cookie, length of the name that follows (none for a watch of a file).
EVENT = struct.Struct("iIII")

LINES = 10
LINE = 300
TROUBLE = re.compile(r"warn|error|exception|fail|could not|cannot|can't|unable|missing|no module", re.IGNORECASE)


class Watch:
    """Notices from now on which of the files are opened."""

    def __init__(self, files: list[str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events = self._ask("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._files: dict[int, str] = {}
        for file in files:
            watch = self._ask("inotify_add_watch", self._events, os.fsencode(file), IN_OPEN | IN_ONESHOT)
            self._files[watch] = file
        self._opened: set[str] = set()

    def opened(self) -> set[str]:
        """What was opened since the watch began."""
        try:
            while events := os.read(self._events, 1 << 16):
                at = 0
                while at < len(events):
                    watch, mask, _, length = EVENT.unpack_from(events, at)
                    if mask & IN_OPEN:
                        self._opened.add(self._files[watch])
                    at += EVENT.size + length
        except BlockingIOError:
            pass  # there are no more
        return set(self._opened)

    def close(self) -> None:
        os.close(self._events)

    def _ask(self, function: str, *arguments: int | bytes) -> int:
        answer = getattr(self._libc, function)(*arguments)
        if answer < 0:
            why = os.strerror(ctypes.get_errno())
            raise Failed(f"this builder's kernel cannot tell which models are opened: {function}: {why}")
        return answer


def read_unused(text: str, models: Mapping[str, str]) -> list[str]:
    """The models that UNUSED_MODELS names, sorted. Raises Failed for a path that is no model's."""
    unused = sorted(set(text.split()))
    for file in unused:
        if file not in models:
            known = ", ".join(models)
            raise Failed(f"UNUSED_MODELS names {file}, which is no model of this image; they are {known}")
    return unused


def check_opened(opened: set[str], unused: list[str], models: Mapping[str, str], log: str) -> Iterator[str]:
    """A sentence for each model that was not opened though it should have been, or that was though it is listed."""
    for file, title in models.items():
        if file in opened and file in unused:
            listed = f"{title} ({file}) is listed in facecraft:unusedModels (build arg UNUSED_MODELS)"
            yield f"{listed}, but the application has opened it: take it off the list"
        if file not in opened and file not in unused:
            yield "\n    ".join([_describe(file, title), *_quote(find_lines(log, file, title))])


def find_lines(log: str, file: str, title: str) -> list[str]:
    """Lines of a log that may say why a model was not opened: that mention it, or sound like trouble.

    At most 10, those that mention it first of all, in the order of the log.
    """
    names = [name.lower() for name in (Path(file).name, Path(file).stem, title)]
    lines = [line.strip()[:LINE] for line in log.splitlines() if line.strip()]
    mention = {at for at, line in enumerate(lines) if any(name in line.lower() for name in names)}
    trouble = {at for at, line in enumerate(lines) if TROUBLE.search(line)} - mention
    chosen = [*sorted(mention), *sorted(trouble)][:LINES]
    return [lines[at] for at in sorted(chosen)]


def _describe(file: str, title: str) -> str:
    size = Path(file).stat().st_size / 1e6
    never = f"the application, from its start to its portrait, never opened {title} ({file}, {size:.1f} MB)"
    return f"{never}: mend it, or list the model in facecraft:unusedModels (build arg UNUSED_MODELS)"


def _quote(lines: list[str]) -> list[str]:
    return ["its log says:", *lines] if lines else ["its log mentions neither the model nor any trouble"]
