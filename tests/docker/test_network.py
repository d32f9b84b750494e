import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import asked
import network
from failed import Failed

SNMP = """\
Ip: Forwarding DefaultTTL OutNoRoutes ReasmTimeout
Ip: 1 64 {v4} 0
Icmp: InMsgs OutMsgs
Icmp: 0 0
"""


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Count(Folder):
    def write(self, v4: int, v6: int | None = None) -> None:
        (self.folder / "snmp").write_text(SNMP.format(v4=v4))
        if v6 is not None:
            (self.folder / "snmp6").write_text(f"Ip6OutRequests 7\nIp6OutNoRoutes                  \t{v6}\n")

    def test_is_of_both_protocols(self) -> None:
        self.write(3)
        self.assertEqual(network.count_attempts(self.folder), 3)
        self.write(3, 4)
        self.assertEqual(network.count_attempts(self.folder), 7)

    def test_begins_with_the_watch(self) -> None:
        self.write(3, 4)
        own = self.folder / "own"
        own.mkdir()
        watch = network.Watch(own, self.folder)
        self.write(5, 5)
        self.assertEqual(watch.attempts(), 3)

    def test_fails_where_the_kernel_does_not_count(self) -> None:
        with self.assertRaisesRegex(Failed, "does not count what has no route .*snmp.*No such file"):
            network.count_attempts(self.folder)
        (self.folder / "snmp").write_text("Ip: Forwarding\nIp: 1\n")
        with self.assertRaisesRegex(Failed, "does not count what has no route"):
            network.count_attempts(self.folder)

    def test_can_be_had_here(self) -> None:
        self.assertGreaterEqual(network.count_attempts(), 0)


class Judgement(unittest.TestCase):
    def test_is_silent_about_silence(self) -> None:
        self.assertEqual(list(network.check_network(0, [], False)), [])
        self.assertEqual(list(network.check_network(0, ["a name of the image's own hosts file"], False)), [])

    def test_says_how_often_and_what_to_do(self) -> None:
        (sentence,) = network.check_network(3, [], False)
        self.assertIn("tried to leave the image 3 times before its portrait was answered", sentence)
        self.assertIn("Python code did not: a compiled library or another program does", sentence)
        self.assertIn("facecraft:network: allowed (build arg PROOF_NETWORK)", sentence)
        self.assertIn("the image once", next(network.check_network(1, [], False)))
        self.assertNotIn("allowed", next(network.check_network(1, [], True)))

    def test_names_who_asked_up_to_a_bound(self) -> None:
        (sentence,) = network.check_network(40, [f"host{number} (main.py:1)" for number in range(12)], False)
        self.assertIn("Python code asked for:\n    host0 (main.py:1)\n", sentence)
        self.assertTrue(sentence.endswith("host9 (main.py:1)\n    and for 2 more"), sentence)


class Asked(Folder):
    """With the environment of the watch, Python writes down whom it asks."""

    def run_python(self, code: str, *options: str, path: str | None = None) -> tuple[str, list[str]]:
        own = self.folder / "own"
        own.mkdir(exist_ok=True)
        watch = network.Watch(own)
        script = self.folder / "main.py"
        script.write_text(code)
        given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = watch.environment({**given, "PYTHONPATH": path} if path else given)
        done = subprocess.run(
            [sys.executable, *options, str(script)], env=environment, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout, watch.asked()

    def asking(self, call: str) -> str:
        return f"import socket\ntry:\n    {call}\nexcept OSError:\n    pass\n"

    def test_names_a_look_up_and_its_line(self) -> None:
        code = self.asking("socket.create_connection(('nobody.invalid', 443))") * 2
        where = f"{self.folder}/main.py"
        asks = [f"nobody.invalid, port 443 ({where}:{line})" for line in (3, 8)]
        self.assertEqual(self.run_python(code)[1], asks)
        code = self.asking("socket.gethostbyname('nobody.invalid')")
        self.assertEqual(self.run_python(code)[1][-1], f"nobody.invalid ({where}:3)")

    def test_names_an_address_that_is_connected_to_or_sent_to(self) -> None:
        # Nothing can be at these: nobody listens at the one, and the others belong to documents.
        code = self.asking("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.7', 53))")
        code += self.asking("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.8', 53))")
        where = f"{self.folder}/main.py"
        asks = [f"192.0.2.7, port 53 ({where}:3)", f"192.0.2.8, port 53 ({where}:8)"]
        self.assertEqual(self.run_python(code)[1], asks)

    def test_leaves_out_what_stays_on_the_machine(self) -> None:
        calls = (
            "socket.create_connection(('127.0.0.1', 1))",
            "socket.create_connection(('localhost', 1))",
            "socket.create_connection(('::1', 1))",
            "socket.getaddrinfo(None, 80)",
            "socket.getaddrinfo('192.0.2.7', 80)",
            "socket.gethostbyname(socket.gethostname())",
            "socket.socket(socket.AF_UNIX).connect('/no/such/socket')",
            "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'', '/no/such/socket')",
        )
        self.assertEqual(self.run_python("".join(map(self.asking, calls)))[1], [])

    def test_names_a_package_and_who_called_it(self) -> None:
        package = self.folder / "site-packages/requester"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(
            "import socket\ndef ask():\n    socket.getaddrinfo('nobody.invalid', 80)\n"
        )
        code = "import requester\ntry:\n    requester.ask()\nexcept OSError:\n    pass\n"
        _, asks = self.run_python(code, path=str(package.parent))
        places = f"{package}/__init__.py:3, for {self.folder}/main.py:3"
        self.assertEqual(asks, [f"nobody.invalid, port 80 ({places})"])

    def test_hands_over_to_the_sitecustomize_that_it_hides(self) -> None:
        other = self.folder / "other"
        other.mkdir()
        (other / "sitecustomize.py").write_text("import builtins\nbuiltins.customized = __file__\n")
        code = "import sitecustomize, sys\nprint(customized, sitecustomize.__file__, sys.path)\n"
        said, _ = self.run_python(code, path=str(other))
        self.assertIn(f"{other}/sitecustomize.py {other}/sitecustomize.py", said)
        self.assertNotIn(str(self.folder / "own"), said)

    def test_writes_a_bounded_file(self) -> None:
        code = "import socket\nsender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range(600):\n"
        code += "    try:\n        sender.sendto(b'', (f'192.0.2.{i % 250}', 9))\n    except OSError:\n        pass\n"
        _, asks = self.run_python(code)
        self.assertGreater(len(asks), 10)
        self.assertLess((self.folder / "own/asked").stat().st_size, asked.LIMIT + 1000)

    def test_breaks_nothing_where_it_cannot_write(self) -> None:
        code = "import os, shutil\nshutil.rmtree(os.path.dirname(os.environ['PROOF_ASKED']))\n"
        self.assertEqual(self.run_python(code + self.asking("socket.getaddrinfo('nobody.invalid', 80)"))[1], [])

    def test_knows_an_address_from_a_name(self) -> None:
        for address in ("192.0.2.7", "2001:db8::1"):
            self.assertTrue(asked.is_address(address))
        self.assertFalse(asked.is_address("1.example"))


if __name__ == "__main__":
    unittest.main()
