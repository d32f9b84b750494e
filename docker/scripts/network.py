"""network.py: whether anything tries to leave the image, and who.

The step of the build has no network. The kernel counts, per network namespace, what it had no route for: whoever tries,
in whatever language, is in that count. Each look-up of a name and each connection counts, loopback does not.
Python code is asked besides who it is (asked.py), which decides nothing.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from failed import Failed

HERE = Path(__file__).parent
TOLD = 10


def count_attempts(net: Path = Path("/proc/net")) -> int:
    """How many packets of this network namespace had no way out so far, IPv4 and IPv6."""
    try:
        names, values = (line.split() for line in (net / "snmp").read_text().splitlines() if line.startswith("Ip:"))
        count = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
    except (OSError, ValueError, KeyError) as error:
        raise Failed(f"this builder's kernel does not count what has no route ({net}/snmp): {error!r}") from error
    try:
        lines = (net / "snmp6").read_text().splitlines()
    except OSError:
        return count  # a kernel without IPv6: nothing can try it
    return count + next((int(line.split()[1]) for line in lines if line.startswith("Ip6OutNoRoutes ")), 0)


class Watch:
    """Counts from now on. With its environment, the Python processes of an application write down whom they ask."""

    def __init__(self, folder: Path, net: Path = Path("/proc/net")) -> None:
        """The folder is an empty one of its own."""
        self._net = net
        self._folder = folder
        self._asked = folder / "asked"
        shutil.copyfile(HERE / "asked.py", folder / "sitecustomize.py")
        self._before = count_attempts(net)

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The given one, with what makes Python tell."""
        path = ":".join(filter(None, (str(self._folder), environment.get("PYTHONPATH"))))
        return {**environment, "PYTHONPATH": path, "PROOF_ASKED": str(self._asked)}

    def attempts(self) -> int:
        return count_attempts(self._net) - self._before

    def asked(self) -> list[str]:
        """Whom Python code asked, and the line that did: each once, in order."""
        try:
            return list(dict.fromkeys(self._asked.read_text(errors="replace").splitlines()))
        except FileNotFoundError:
            return []


def check_network(
    attempts: int,
    asked: list[str],
    allowed: bool,
    who: str = "the application",
    until: str = "before its portrait was answered",
) -> Iterator[str]:
    """A sentence when there were attempts, and what Python code made them."""
    if attempts == 0:
        return
    tried = f"{who} tried to leave the image {attempts} times {until}"
    if attempts == 1:
        tried = tried.replace("1 times", "once")
    if not asked:
        tried += ", and Python code did not: a compiled library or another program does"
    hint = "" if allowed else "; facecraft:network: allowed (build arg PROOF_NETWORK) makes this a warning"
    yield "\n    ".join([tried + hint, *quote(asked)])


def quote(asked: list[str]) -> Iterator[str]:
    if asked:
        yield "Python code asked for:"
        yield from asked[:TOLD]
    if len(asked) > TOLD:
        yield f"and for {len(asked) - TOLD} more"
