// `make check-upstream`: asks for every outside thing that this repository names, and prints what became of each. FULL=1
// downloads the models and compares them with their pins. Ends with 1 when something is gone, changed or deprecated; what
// nobody can tell, because its server does not answer, is said and is no failure.
import { join } from "node:path";
import { settleAll } from "./settleAll.ts";
import { Upstream } from "./upstream/ask.ts";
import { collect } from "./upstream/collect.ts";
import { type Asked, isBroken, summary, table } from "./upstream/table.ts";

const root = join(import.meta.dirname, "..");
const full = !["", "0", "false", undefined].includes(process.env.FULL);
const upstream = new Upstream({ root, full, pauseMs: 1000 });
const things = collect(root);
const asked = await settleAll(
  things,
  12,
  async (thing): Promise<Asked> => ({ thing, verdict: await upstream.ask(thing) }),
);
const unexpected = asked.find((one) => one.status === "rejected");
if (unexpected !== undefined) {
  throw unexpected.reason;
}
const told = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
console.log(table(told));
console.log(summary(told));
process.exitCode = told.some(isBroken) ? 1 : 0;
