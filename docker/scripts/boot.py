#!/venv/bin/python
"""boot.py: uses the application as its users will. Says nothing unless something is wrong.

It is started by the image's own command, gets ready, answers a portrait, and is stopped. Meanwhile it is watched from
outside: which of the models it opens, and whether it asks the network. SMOKE_TEST=0 leaves all that out. The record of
the proof says what was proven; what was measured stands in a document of its own.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import healthcheck
import network
import opened
import portrait
from application import LOG, Application
from failed import Failed, tell
from image import MEASURED, MEASUREMENTS, MODELS, PROOF, RECORD, write_document

# The image's command and its health check, as its config names them.
COMMAND = ["serve"]
HEALTHCHECK = ["healthcheck"]

# What quiet.py found of the packages, without the application.
PACKAGES = Path(__file__).parent / "quiet.json"
# The build args of this step, which are no part of the image's environment.
ARGS = ("SMOKE_TEST", "SMOKE_TIMEOUT", "PORTRAIT_TIMEOUT", "UNUSED_MODELS", "PROOF_NETWORK", "PROOF_ENVIRONMENT")
# What the record says where the application is not started.
LEFT_OUT = {
    "boot": "off",
    "environment": {},
    "portrait": "off",
    "modelsOpened": [],
    "unusedModels": [],
    "network": "off",
}


@dataclass(frozen=True)
class Settings:
    """What the step's build args say."""

    boots: bool
    # Until it is ready, and until the portrait is answered.
    ready_seconds: float
    portrait_seconds: float
    unused: list[str]
    network_allowed: bool
    # What the application's environment has here and nowhere else.
    environment: dict[str, str]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises Failed for a value that means nothing."""
        wanted = environment["PROOF_NETWORK"]
        if wanted not in ("refused", "allowed"):
            raise Failed(f"PROOF_NETWORK is '{wanted}'; it is either 'refused' or 'allowed'")
        return cls(
            boots=environment["SMOKE_TEST"] != "0",
            ready_seconds=float(environment["SMOKE_TIMEOUT"]),
            portrait_seconds=float(environment["PORTRAIT_TIMEOUT"]),
            unused=opened.read_unused(environment["UNUSED_MODELS"], MODELS),
            network_allowed=wanted == "allowed",
            environment=read_lines(environment["PROOF_ENVIRONMENT"]),
        )


@dataclass
class Outcome:
    """What came of it: a sentence for each thing that is wrong, the additions to the record, and what was measured."""

    wrong: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    record: dict = field(default_factory=dict)
    measured: dict = field(default_factory=dict)
    log: str = ""

    @contextmanager
    def told(self) -> Iterator[None]:
        """What fails inside is told, and what comes after is checked all the same."""
        try:
            yield
        except Failed as failure:
            self.wrong.append(str(failure))


def read_lines(text: str) -> dict[str, str]:
    """Variables from lines NAME=VALUE."""
    variables = {}
    for line in filter(str.strip, text.splitlines()):
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise Failed(f"PROOF_ENVIRONMENT has the line '{line}', which is not NAME=VALUE")
        variables[name] = value
    return variables


def check_health(command: list[str]) -> None:
    """The image's health check says of a ready application that it is."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise Failed(f"the application is ready, but the image's health check ended with {done.returncode}: {said}")


def use(settings: Settings, device: str = "cpu") -> Outcome:
    """One life of the application on a device, and all that is wrong with it. Raises Failed when there is none."""
    outcome = Outcome(record={"boot": "passed", "environment": settings.environment})
    with tempfile.TemporaryDirectory() as folder:
        asks, opens = network.Watch(Path(folder)), opened.Watch(list(MODELS))
        own = {name: value for name, value in os.environ.items() if name not in ARGS}
        environment = {**own, "FACECRAFT_DEVICE": device, **settings.environment}
        application = Application(COMMAND, asks.environment(environment))
        path = os.environ["HEALTHCHECK_PATH"]
        ready = answered = False
        try:
            with outcome.told():
                seconds = application.wait_until_ready(healthcheck.ask_image, path, settings.ready_seconds)
                outcome.measured["readySeconds"] = round(seconds, 3)
                ready = True
            if ready:
                with outcome.told():
                    check_health(HEALTHCHECK)
                with outcome.told():
                    ask_for_portrait(application, settings, outcome)
                    answered = True
                judge_models(opens.opened(), settings, application.log(LOG), outcome)
            judge_network(asks, settings, outcome)
            outcome.measured["peakMemoryBytes"] = application.peak_memory()
            if answered:
                with outcome.told():
                    application.stop()
        finally:
            application.kill()
            opens.close()
            # How often it was asked whether it is ready says nothing.
            outcome.log = application.log(8000, f"GET {path} ")
    return outcome


def ask_for_portrait(application: Application, settings: Settings, outcome: Outcome) -> None:
    request = portrait.read_request()
    started = time.monotonic()
    try:
        answer = portrait.post(request, int(os.environ["FACECRAFT_PORT"]), settings.portrait_seconds)
    except Failed as failure:
        code = application.ended(1)
        raise failure if code is None else Failed(f"{failure}; the application ended with code {code}") from failure
    outcome.measured["portraitSeconds"] = round(time.monotonic() - started, 3)
    outcome.wrong += portrait.check_answer(answer, request)
    outcome.record["portrait"] = "passed"


def judge_models(found: set[str], settings: Settings, log: str, outcome: Outcome) -> None:
    outcome.wrong += opened.check_opened(found, settings.unused, MODELS, log)
    outcome.record |= {"modelsOpened": sorted(found), "unusedModels": settings.unused}


def judge_network(asks: network.Watch, settings: Settings, outcome: Outcome) -> None:
    attempts = asks.attempts()
    sentences = outcome.warnings if settings.network_allowed else outcome.wrong
    sentences += network.check_network(attempts, asks.asked(), settings.network_allowed)
    earlier = json.loads(PACKAGES.read_text())["network"]
    outcome.record["network"] = "asked" if attempts else earlier


def complete(outcome: Outcome) -> None:
    """Adds what was proven to the record, and writes down what was measured."""
    record = json.loads((PROOF / RECORD).read_text())
    write_document(RECORD, {"gpu": None, **record, **outcome.record}, PROOF)
    write_document(MEASURED, outcome.measured, MEASUREMENTS)


def main(environment: Mapping[str, str]) -> int:
    try:
        settings = Settings.read(environment)
        outcome = use(settings) if settings.boots else Outcome(record=dict(LEFT_OUT))
    except Failed as failure:
        outcome = Outcome(wrong=[str(failure)])
    if outcome.wrong:
        print(outcome.log, file=sys.stderr)
    for sentence in outcome.warnings:
        print("proof: warning:", sentence, file=sys.stderr)
    if tell(outcome.wrong):
        return 1
    complete(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
