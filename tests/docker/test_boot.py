import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import boot
from boot import Application, Failed

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

    def ask(self) -> boot.Answer:
        try:
            port = int((self.folder / "port").read_text())
        except OSError as error:
            return None, str(error)
        return boot.healthcheck.ask(port, "/ready")

    def wait(self, application: Application, seconds: float = 60) -> None:
        application.wait_until_ready(self.ask, "/ready", seconds)


class Boot(Started):
    def test_passes_for_an_application_that_gets_ready_and_stops(self) -> None:
        application = self.start(SERVING)
        self.wait(application)
        application.stop()

    def test_fails_for_a_command_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(Failed, "the image's command cannot be started: .*no-such-program"):
            Application(["no-such-program"], os.environ)

    def test_fails_for_an_application_that_ends_and_keeps_what_it_said(self) -> None:
        application = self.start("print('no such thing as a portrait'); raise SystemExit(3)")
        with self.assertRaisesRegex(Failed, "ended with code 3 before /ready answered 200"):
            self.wait(application)
        self.assertIn("no such thing as a portrait", application.log())

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

    def test_completes_the_record_and_settles_its_time(self) -> None:
        record = self.folder / "usr/share/facecraft/proof.json"
        record.parent.mkdir(parents=True)
        record.write_text('{"torch": "2.0.1+cpu"}\n')
        with patch("boot.RECORD", record):
            boot.main({"SMOKE_TEST": "0"})
        self.assertEqual(json.loads(record.read_text()), {"torch": "2.0.1+cpu", "boot": "off"})
        for path in (record, *record.parents[:3]):
            self.assertEqual(path.stat().st_mtime, boot.SETTLED)


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
