import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import opened
from failed import Failed

CODEFORMER = "/app/models/codeformer/codeformer.pth"
MODELS = {CODEFORMER: "CodeFormer", "/models/u2net_human_seg.onnx": "u2net human seg"}


class Watch(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.files = [str(Path(folder.name) / name) for name in ("a.dat", "b.pth")]
        for file in self.files:
            Path(file).write_text("model")

    def watch(self) -> opened.Watch:
        watch = opened.Watch(self.files)
        self.addCleanup(watch.close)
        return watch

    def test_sees_what_is_opened_since_it_began(self) -> None:
        Path(self.files[1]).read_text()
        watch = self.watch()
        self.assertEqual(watch.opened(), set())
        Path(self.files[0]).read_text()
        self.assertEqual(watch.opened(), {self.files[0]})
        self.assertEqual(watch.opened(), {self.files[0]})

    def test_sees_another_process_and_compiled_code(self) -> None:
        watch = self.watch()
        subprocess.run(["cat", self.files[0]], stdout=subprocess.DEVNULL, check=True)
        opening = f"import ctypes; ctypes.CDLL(None).open({os.fsencode(self.files[1])!r}, 0)"
        subprocess.run([sys.executable, "-c", opening], check=True)
        self.assertEqual(watch.opened(), set(self.files))

    def test_does_not_take_a_look_for_an_opening(self) -> None:
        watch = self.watch()
        self.assertTrue(Path(self.files[0]).is_file() and os.access(self.files[0], os.R_OK))
        self.assertEqual(watch.opened(), set())

    def test_sees_a_file_that_is_opened_very_often(self) -> None:
        watch = self.watch()
        for _ in range(40_000):
            os.close(os.open(self.files[0], os.O_RDONLY))
        Path(self.files[1]).read_text()
        self.assertEqual(watch.opened(), set(self.files))

    def test_fails_where_the_kernel_cannot_watch(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot tell which models are opened: inotify_add_watch: No such file"):
            opened.Watch(["/no/such/model"])


class Unused(unittest.TestCase):
    def test_is_read_in_any_order_and_once(self) -> None:
        second, first = MODELS
        self.assertEqual(opened.read_unused(f" {first}  {second} {first}\n", MODELS), sorted(MODELS))
        self.assertEqual(opened.read_unused("", MODELS), [])

    def test_refuses_what_is_no_model(self) -> None:
        with self.assertRaisesRegex(Failed, "names codeformer, which is no model of this image; they are /app/"):
            opened.read_unused(f"{CODEFORMER} codeformer", MODELS)


class Judgement(unittest.TestCase):
    def check(self, found: set[str], unused: list[str] = [], log: str = "") -> list[str]:  # noqa: B006, not changed
        with patch("opened.Path.stat", return_value=os.stat_result((0,) * 6 + (376_637_898,) + (0,) * 3)):
            return list(opened.check_opened(found, unused, MODELS, log))

    def test_passes_when_all_were_opened_but_the_listed_ones(self) -> None:
        self.assertEqual(self.check(set(MODELS)), [])
        self.assertEqual(self.check(set(MODELS) - {CODEFORMER}, [CODEFORMER]), [])

    def test_names_what_was_not_opened_and_what_to_do(self) -> None:
        (sentence,) = self.check(set(MODELS) - {CODEFORMER})
        self.assertIn(f"never opened CodeFormer ({CODEFORMER}, 376.6 MB): mend it, or list", sentence)
        self.assertIn("facecraft:unusedModels", sentence)
        self.assertIn("its log mentions neither the model nor any trouble", sentence)

    def test_refuses_a_list_that_is_not_true_any_more(self) -> None:
        (sentence,) = self.check(set(MODELS), [CODEFORMER])
        self.assertRegex(sentence, "^CodeFormer .* facecraft:unusedModels .* has opened it: take it off the list$")

    def test_quotes_the_log_with_the_model_first(self) -> None:
        noise = "".join(f"error {number}\n" for number in range(20))
        log = f"started\n{noise}Could not initialize CodeFormer: No module named x\nready\n"
        lines = opened.find_lines(log, CODEFORMER, "CodeFormer")
        self.assertEqual(len(lines), opened.LINES)
        self.assertEqual(lines[0], "error 0")
        self.assertEqual(lines[-1], "Could not initialize CodeFormer: No module named x")
        self.assertIn("\n    Could not", self.check(set(MODELS) - {CODEFORMER}, log=log)[0])
        self.assertEqual(opened.find_lines("started\nready\n", CODEFORMER, "CodeFormer"), [])
        self.assertEqual(len(opened.find_lines("error " * 1000, CODEFORMER, "CodeFormer")[0]), opened.LINE)


if __name__ == "__main__":
    unittest.main()
