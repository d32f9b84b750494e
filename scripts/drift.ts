// pulumi stack export --show-secrets | node scripts/drift.ts STACK: asks the registry and the models' upstreams whether they
// are as the stack's last update left them, and says what each answered. Ends with 0 as left, 2 changed, 3 not known.
import { text } from "node:stream/consumers";
import { askAll } from "../reports/drift/ask.ts";
import { readState } from "../reports/drift/state.ts";
import { driftTable, exitCodes, verdict } from "../reports/drift/table.ts";

const [stack = ""] = process.argv.slice(2);
const answers = await askAll(readState(await text(process.stdin)));
console.log(driftTable(answers, stack).join("\n"));
process.exitCode = exitCodes[verdict(answers)];
