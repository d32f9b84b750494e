import { nothingKnown } from "../../components/modelProvider.ts";
import { models as knownModels, modelNames } from "../../plan/models.ts";
import { show } from "./changes.ts";
import type { Plan, Step } from "./events.ts";
import type { ModelRow } from "./shape.ts";

export function isModel({ type, op }: Step): boolean {
  return type.endsWith(":ModelChecksum") && op !== "delete";
}

export function modelRows(plan: Plan): ModelRow[] {
  const rows = plan.steps.filter(isModel).map((step) => modelRow(step, plan));
  return modelNames.flatMap((name) => rows.find((row) => row?.name === name) ?? []);
}

function modelRow({ name, urn, op, before, after }: Step, plan: Plan): ModelRow | undefined {
  const known = modelNames.find((model) => model === name);
  if (known === undefined || after === undefined) {
    return undefined;
  }
  const { title, file } = knownModels[known];
  const { sizeBytes } = { ...before?.outputs, ...after.outputs };
  const sha256 = show(after.inputs.sha256);
  const old = before && show(before.inputs.sha256);
  const [url] = Array.isArray(after.inputs.urls) ? after.inputs.urls : [after.inputs.urls];
  const isNewPin = old !== undefined && old !== sha256;
  return {
    name: known,
    title,
    file,
    sha256,
    url: show(url),
    ...(typeof sizeBytes === "number" && !isNewPin && { sizeBytes }),
    ...(isNewPin && { before: old }),
    state: stateOf(op, before, after),
    upstream: upstreamOf(
      title,
      plan.refreshed.find((step) => step.urn === urn),
      before,
      plan,
    ),
  };
}

/** A model that is only asked for again, because upstream drifted, is the same model. */
function stateOf(op: Step["op"], before: Step["before"], after: NonNullable<Step["after"]>): ModelRow["state"] {
  if (op === "create") {
    return "new";
  }
  const inputs = ["urls", "sha256", "file"];
  const isSame = inputs.every((key) => show(before?.inputs[key]) === show(after.inputs[key]));
  return op === "same" || isSame ? "unchanged" : "changed";
}

function upstreamOf(title: string, refreshed: Step | undefined, before: Step["before"], plan: Plan) {
  if (plan.remarks.some((remark) => remark.startsWith(`${title}: `) && remark.includes(nothingKnown))) {
    return "not known";
  }
  const { drift } = { ...before?.outputs, ...refreshed?.after?.outputs };
  if (typeof drift === "string" && drift !== "") {
    return "drifted";
  }
  return refreshed ? "as pinned" : "not asked";
}
