"""asked.py: writes down whom Python code asks over the network, and the line that does.

network.py puts it first on the path of a Python process, as its sitecustomize. It only listens: it changes no call,
keeps every error to itself, and hands over to the sitecustomize that would have been there without it.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from types import FrameType

LIMIT = 16384
HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120, pathlib would be imported into every process
LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120
PACKAGES = ("site-packages", "dist-packages")
# The events by their names, and which of their arguments names the host.
HOSTS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1, "socket.sendto": 1}
# Whoever looks an address up to use it connects to it next.
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")


def describe(event: str, arguments: tuple) -> str | None:
    """The host of an event, with its port where there is one; None for what does not leave the machine."""
    target = arguments[HOSTS[event]]
    host, port = target[:2] if isinstance(target, tuple) else (target, None)
    if event == "socket.getaddrinfo":
        port = arguments[1]
    elif port is None and event not in LOOK_UPS:
        return None  # a Unix socket
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    if not host or is_local(host) or (event in LOOK_UPS and is_address(host)):
        return None
    return f"{host}, port {port}" if port else str(host)


def is_local(host: str) -> bool:
    return host in ("localhost", "::1", "0.0.0.0", "::", os.uname().nodename) or host.startswith("127.")


def is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def frames(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    """The files and lines of a stack, the innermost first."""
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def is_package(file: str) -> bool:
    return any(f"/{folder}/" in file for folder in PACKAGES)


def is_library(file: str) -> bool:
    return file.startswith("<frozen") or (file.startswith(LIBRARY) and not is_package(file))


def locate(stack: list[tuple[str, int]]) -> str:
    """The innermost line outside the standard library; where that is a package's, also the application's own."""
    outside = [place for place in stack if not is_library(place[0])]
    own = [place for place in outside if not is_package(place[0])]
    places = [*(outside or stack)[:1], *own[:1]]
    return ", for ".join(f"{file}:{line}" for file, line in dict.fromkeys(places))


def listen(event: str, arguments: tuple) -> None:
    if event not in HOSTS:
        return
    try:
        host = describe(event, arguments)
        if host:
            line = f"{host} ({locate(list(frames(sys._getframe(1))))})\n"
            file = os.open(os.environ["PROOF_ASKED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.fstat(file).st_size < LIMIT:
                    os.write(file, line.encode(errors="replace"))
            finally:
                os.close(file)
    except Exception:
        pass  # the application must not notice


def hand_over() -> None:
    """Runs the sitecustomize of the environment, which this one hides, as if this one were not there."""
    sys.path[:] = [folder for folder in sys.path if folder != HERE]
    found = PathFinder.find_spec("sitecustomize")
    if found and found.loader:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.addaudithook(listen)
    hand_over()
