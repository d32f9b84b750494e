import io
import json
import os
import socket
import sys
import tempfile
import unittest
from contextlib import redirect_stderr
from pathlib import Path
from unittest.mock import patch

import boot
import image
from application import Answer, Application
from failed import Failed

ANSWERING = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ["STATUS"]) if self.path == "/ready" else 404)
        self.end_headers()
        self.wfile.write(b"codeformer is missing")
    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open(os.environ["PORT_FILE"] + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(os.environ["PORT_FILE"] + ".new", os.environ["PORT_FILE"])
"""
CODEFORMER = "/app/models/codeformer/codeformer.pth"
# The build args of the step with their defaults.
ARGS = {
    "SMOKE_TEST": "1",
    "SMOKE_TIMEOUT": "180",
    "PORTRAIT_TIMEOUT": "60",
    "UNUSED_MODELS": "",
    "PROOF_NETWORK": "refused",
    "PROOF_ENVIRONMENT": "",
}
SERVING = ANSWERING + "server.serve_forever()\n"


class Started(unittest.TestCase):
    """A test that starts applications, which end with it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.started: list[Application] = []

    def tearDown(self) -> None:
        for application in self.started:
            application.kill()

    def start(self, code: str, status: int = 200) -> Application:
        environment = {**os.environ, "STATUS": str(status), "PORT_FILE": str(self.folder / "port")}
        self.started.append(Application([sys.executable, "-c", code], environment))
        return self.started[-1]

    def ask(self) -> Answer:
        try:
            port = int((self.folder / "port").read_text())
        except OSError as error:
            return None, str(error)
        return boot.healthcheck.ask(port, "/ready")

    def wait(self, application: Application, seconds: float = 60) -> float:
        return application.wait_until_ready(self.ask, "/ready", seconds)


class Boot(Started):
    def test_passes_for_an_application_that_gets_ready_and_stops(self) -> None:
        application = self.start(SERVING)
        self.assertTrue(0 < self.wait(application) < 60)
        application.stop()

    def test_fails_for_a_command_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(Failed, "the image's command cannot be started: .*no-such-program"):
            Application(["no-such-program"], os.environ)

    def test_fails_for_an_application_that_ends_and_keeps_what_it_said(self) -> None:
        application = self.start("print('no such thing as a portrait'); raise SystemExit(3)")
        with self.assertRaisesRegex(Failed, "ended with code 3 before /ready answered 200"):
            self.wait(application)
        self.assertIn("no such thing as a portrait", application.log(8000))

    def test_fails_for_an_application_that_never_gets_ready_with_its_last_answer(self) -> None:
        application = self.start(SERVING, status=503)
        while self.ask()[0] is None:
            pass
        with self.assertRaisesRegex(Failed, "^/ready did not answer 200 within 0.5 s; .*: 503 codeformer is missing$"):
            self.wait(application, 0.5)

    def test_fails_for_an_application_that_answers_nothing(self) -> None:
        with self.assertRaisesRegex(Failed, r"did not answer 200 within 0.2 s; its last answer: \[Errno 2\]"):
            self.wait(self.start("import time; time.sleep(600)"), 0.2)

    def test_fails_for_an_application_that_does_not_stop(self) -> None:
        application = self.start(ANSWERING + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nserver.serve_forever()\n")
        self.wait(application)
        with self.assertRaisesRegex(Failed, "did not stop within 0.2 s of SIGTERM"):
            application.stop(0.2)

    def test_fails_for_an_application_that_stops_with_an_error(self) -> None:
        stopping = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nserver.serve_forever()\n"
        application = self.start(ANSWERING + stopping)
        self.wait(application)
        with self.assertRaisesRegex(Failed, "ended with code 7 on SIGTERM"):
            application.stop()

    def test_fails_for_a_health_check_that_does_not_see_it(self) -> None:
        boot.check_health(["true"])
        with self.assertRaisesRegex(Failed, "is ready, but the image's health check ended with 4: 503"):
            boot.check_health(["sh", "-c", "echo 503; exit 4"])

    def test_fails_for_an_application_that_ends_before_it_is_stopped(self) -> None:
        application = self.start("raise SystemExit(3)")
        while application.ended() is None:
            pass
        with self.assertRaisesRegex(Failed, "ended with code 3 before it was told to stop"):
            application.stop()

    def test_reads_the_log_of_an_application_that_goes_on_writing(self) -> None:
        application = self.start("import time\nfor i in range(100):\n    print(i, flush=True)\n    time.sleep(0.005)\n")
        while application.ended() is None:
            application.log(9)
        self.assertEqual(application.log(8000).split(), [str(number) for number in range(100)])
        self.assertEqual(application.log(3), "99\n")
        self.assertEqual(application.log(6, without="9"), "87\n88\n")

    def test_measures_the_memory_of_all_its_processes(self) -> None:
        child = "import time; held = bytearray(80 << 20); time.sleep(600)"
        code = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}])\n" + ANSWERING
        code += "try:\n    server.serve_forever()\nfinally:\n    child.kill()\n"
        code = code.replace("import http", "signal.signal(signal.SIGTERM, lambda *_: sys.exit())\nimport http", 1)
        application = self.start("import signal, sys\n" + code)
        self.wait(application)
        while application.peak_memory() < 80 << 20:
            pass
        self.assertLess(application.peak_memory(), 400 << 20)
        application.stop()
        self.assertEqual(application.peak_memory(), 0)


class Settings(unittest.TestCase):
    def read(self, **environment: str) -> boot.Settings:
        return boot.Settings.read({**ARGS, **environment})

    def test_are_read_from_the_build_args(self) -> None:
        settings = self.read(PROOF_ENVIRONMENT="A=1\n\n_b2=x=y \n")
        self.assertEqual(settings.environment, {"A": "1", "_b2": "x=y "})
        self.assertEqual((settings.boots, settings.network_allowed, settings.unused), (True, False, []))
        self.assertFalse(self.read(SMOKE_TEST="0").boots)
        self.assertTrue(self.read(PROOF_NETWORK="allowed").network_allowed)
        self.assertEqual(self.read(UNUSED_MODELS=CODEFORMER).unused, [CODEFORMER])

    def test_that_mean_nothing_are_refused(self) -> None:
        for name, value, sentence in (
            ("PROOF_NETWORK", "yes", "PROOF_NETWORK is 'yes'; it is either 'refused' or 'allowed'"),
            ("PROOF_ENVIRONMENT", "A=1\nB", "PROOF_ENVIRONMENT has the line 'B', which is not NAME=VALUE"),
            ("PROOF_ENVIRONMENT", "A B=1", "has the line 'A B=1'"),
            ("UNUSED_MODELS", "codeformer", "UNUSED_MODELS names codeformer, which is no model of this image"),
        ):
            with self.subTest(name, value=value), self.assertRaisesRegex(Failed, sentence):
                self.read(**{name: value})


# An application that keeps the contract as far as it goes without Pillow.
USING = """
import http.server, os, signal, socket, sys

MODELS = os.environ["MODELS"].split()

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, "text/plain", b"ready")
    def do_POST(self):
        for model in MODELS:
            open(model).close()
        received = self.rfile.read(int(self.headers["Content-Length"]))
        assert b'name="file"; filename="astronaut.png"' in received
        self.answer(*eval(os.environ.get("ANSWER", "(200, 'image/png', b'a picture')")))
        print("Warning: no enhancer", os.environ["FACECRAFT_DEVICE"], os.environ.get("SMOKE_TEST"), flush=True)
    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["FACECRAFT_PORT"])), Handler).serve_forever()
"""


class Use(unittest.TestCase):
    """One life of an application, with all that is looked at."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.models = {str(self.folder / name): name for name in ("first", "second")}
        for file in self.models:
            Path(file).write_text("model")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
        self.attempts = 0
        self.packages("silent")
        for mock in (
            patch.dict(os.environ, {"FACECRAFT_PORT": port, "HEALTHCHECK_PATH": "/ready", "SMOKE_TEST": "1"}),
            patch("boot.COMMAND", [sys.executable, "-c", USING]),
            patch("boot.HEALTHCHECK", ["true"]),
            patch("boot.MODELS", self.models),
            # A picture cannot be looked at without Pillow; the tests with a real builder do that.
            patch("boot.portrait.check_picture", return_value=iter(())),
            patch("boot.network.Watch.attempts", lambda _: self.attempts),
            patch("boot.PACKAGES", self.folder / "quiet.json"),
            patch("boot.PROOF", self.folder / "proof"),
            patch("boot.MEASUREMENTS", self.folder / "measured"),
        ):
            mock.start()
            self.addCleanup(mock.stop)

    def packages(self, network: str) -> None:
        """What was found of the packages before."""
        (self.folder / "quiet.json").write_text(json.dumps({"network": network}))

    def use(self, **environment: str) -> boot.Outcome:
        settings = boot.Settings.read({**ARGS, "SMOKE_TIMEOUT": "60", **environment})
        with patch.dict(os.environ, {"MODELS": " ".join(self.models)}):
            return boot.use(settings)

    def test_passes_and_tells_what_was_proven_and_measured(self) -> None:
        outcome = self.use(PROOF_ENVIRONMENT="A=1")
        self.assertEqual((outcome.wrong, outcome.warnings), ([], []))
        self.assertEqual(
            outcome.record,
            {
                "boot": "passed",
                "environment": {"A": "1"},
                "portrait": "passed",
                "modelsOpened": sorted(self.models),
                "unusedModels": [],
                "network": "silent",
            },
        )
        self.assertEqual(sorted(outcome.measured), ["peakMemoryBytes", "portraitSeconds", "readySeconds"])
        self.assertIn("Warning: no enhancer cpu None", outcome.log)

    def test_tells_everything_that_is_wrong(self) -> None:
        first, second = sorted(self.models)
        self.attempts = 2
        with patch("boot.HEALTHCHECK", ["false"]):
            lines = f"MODELS={first}\nANSWER=(200, 'application/pdf', b'%PDF-1.4')"
            outcome = self.use(PROOF_ENVIRONMENT=lines, UNUSED_MODELS=first)
        self.assertEqual(len(outcome.wrong), 5, outcome.wrong)
        health, answer, listed, never, network = outcome.wrong
        self.assertIn("the image's health check ended with 1", health)
        self.assertIn(
            "answered the portrait with 200 and application/pdf, not image/png; the body begins: %PDF", answer
        )
        self.assertIn(f"first ({first}) is listed", listed)
        self.assertIn(f"never opened second ({second}, 0.0 MB)", never)
        self.assertIn("Warning: no enhancer", never)
        self.assertIn("tried to leave the image 2 times", network)

    def test_says_of_an_application_that_ends_at_its_portrait_that_it_did(self) -> None:
        outcome = self.use(PROOF_ENVIRONMENT="ANSWER=os._exit(7)")
        self.assertEqual(len(outcome.wrong), 1, outcome.wrong)
        self.assertRegex(
            outcome.wrong[0], "^POST .* did not answer the portrait: .*; the application ended with code 7$"
        )

    def test_warns_only_of_a_network_that_is_allowed(self) -> None:
        self.attempts = 2
        outcome = self.use(PROOF_NETWORK="allowed")
        self.assertEqual((outcome.wrong, len(outcome.warnings)), ([], 1))
        self.assertEqual(outcome.record["network"], "asked")

    def test_records_that_the_packages_ask_though_the_application_did_not_yet(self) -> None:
        self.packages("asked")
        outcome = self.use(PROOF_NETWORK="allowed")
        self.assertEqual((outcome.wrong, outcome.warnings), ([], []))
        self.assertEqual(outcome.record["network"], "asked")

    def test_tells_of_an_application_that_never_gets_ready_what_it_asked(self) -> None:
        self.attempts = 2
        with patch("boot.COMMAND", [sys.executable, "-c", "print('fetching'); raise SystemExit(3)"]):
            outcome = self.use()
        self.assertEqual(len(outcome.wrong), 2)
        self.assertIn("ended with code 3 before /ready answered 200", outcome.wrong[0])
        self.assertEqual(outcome.log, "fetching\n")

    def run_main(self, **environment: str) -> tuple[int, str]:
        said = io.StringIO()
        with redirect_stderr(said), patch.dict(os.environ, {"MODELS": " ".join(self.models)}):
            return boot.main({**ARGS, **environment}), said.getvalue()

    def test_completes_the_record_and_settles_the_times(self) -> None:
        record = self.folder / "proof" / image.RECORD
        record.parent.mkdir(parents=True)
        record.write_text('{"torch": "2.0.1+cpu"}\n')
        self.assertEqual(self.run_main(SMOKE_TEST="0"), (0, ""))
        off = {"gpu": None, "torch": "2.0.1+cpu", "boot": "off", "environment": {}, "portrait": "off"}
        off |= {"modelsOpened": [], "unusedModels": [], "network": "off"}
        self.assertEqual(json.loads(record.read_text()), off)
        measured = self.folder / "measured" / image.MEASURED
        self.assertEqual(json.loads(measured.read_text()), {})

        self.assertEqual(self.run_main(), (0, ""))
        self.assertEqual(json.loads(record.read_text())["portrait"], "passed")
        self.assertGreater(json.loads(measured.read_text())["readySeconds"], 0)
        for path in (record, *record.parents[:3], measured, *measured.parents[:3]):
            self.assertEqual(path.stat().st_mtime, image.SETTLED)

    def test_says_what_the_application_said_and_then_what_is_wrong(self) -> None:
        self.attempts = 1
        code, said = self.run_main(PROOF_ENVIRONMENT="ANSWER=(500, 'text/plain', b'no face')")
        self.assertEqual(code, 1)
        self.assertRegex(said, r"^Warning: no enhancer[\s\S]*\nproof: POST .* 500, not with 200; .*: no face\nproof: ")
        self.assertFalse((self.folder / "measured").exists())
        code, said = self.run_main(PROOF_NETWORK="no")
        self.assertEqual((code, said.strip()[:29]), (1, "proof: PROOF_NETWORK is 'no';"))


class Healthcheck(Started):
    def check(self, environment: dict[str, str]) -> tuple[int, str]:
        with patch.dict(os.environ, environment), patch("builtins.print") as printed:
            code = boot.healthcheck.main()
        return code, " ".join(str(call.args[0]) for call in printed.call_args_list)

    def test_passes_in_silence(self) -> None:
        self.wait(self.start(SERVING))
        port = (self.folder / "port").read_text()
        self.assertEqual(self.check({"FACECRAFT_PORT": port, "HEALTHCHECK_PATH": "/ready"}), (0, ""))

    def test_says_what_the_application_answered(self) -> None:
        self.start(SERVING, status=503)
        while self.ask()[0] is None:
            pass
        port = (self.folder / "port").read_text()
        answer = (1, "503 codeformer is missing")
        self.assertEqual(self.check({"FACECRAFT_PORT": port, "HEALTHCHECK_PATH": "/ready"}), answer)
        self.assertEqual(self.check({"FACECRAFT_PORT": port, "HEALTHCHECK_PATH": "/x"})[1][:3], "404")

    def test_says_why_there_was_no_answer(self) -> None:
        code, said = self.check({"FACECRAFT_PORT": "1", "HEALTHCHECK_PATH": "/ready"})
        self.assertEqual(code, 1)
        self.assertIn("refused", said)


if __name__ == "__main__":
    unittest.main()
