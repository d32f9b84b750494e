"""rego.py FILE: answers each input of the builder's policy, a line of JSON, with the decision of the Rego file."""

import json
import sys
from pathlib import Path

from regopy import Interpreter

interpreter = Interpreter()
interpreter.add_module("policy", Path(sys.argv[1]).read_text())
for line in sys.stdin:
    interpreter.set_input(json.loads(line))
    print(json.dumps(json.loads(str(interpreter.query("data.docker.decision")))["expressions"][0]))
