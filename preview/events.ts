import { secret, unknown } from "../policy/image.ts";

/** What the engine did with a resource, or would do. */
export type Op = "create" | "update" | "replace" | "delete" | "same" | "read" | "refresh";

export interface Step {
  op: Op;
  urn: string;
  type: string;
  name: string;
  /** Names of the inputs that differ. */
  diffs: readonly string[];
  before?: State;
  after?: State;
}

/** Secrets and values that are not known yet are the symbols of policy/image.ts. */
export interface State {
  inputs: Readonly<Record<string, unknown>>;
  outputs: Readonly<Record<string, unknown>>;
  retainOnDelete: boolean;
}

export interface Problem {
  /** Name of the resource, or of the stack. */
  resource: string;
  message: string;
  /** The end of what was said about that resource before. */
  log: readonly string[];
}

export interface PackViolation {
  rule: string;
  resource: string;
  message: string;
  mandatory: boolean;
}

/** A preview in plain values, from the engine's event log. */
export interface Plan {
  steps: readonly Step[];
  problems: readonly Problem[];
  /** Policy packs that ran, and what they found. */
  packs: readonly string[];
  violations: readonly PackViolation[];
  succeeded: boolean;
}

/** Reads an event log (one JSON object a line). What a build said while it worked is only kept beside its error. */
export function readEvents(text: string): Plan {
  const events = text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Event);
  const steps = new Map<string, Step>();
  const log = new Map<string, string[]>();
  const errors: { urn: string; message: string }[] = [];
  const violations = new Map<string, PackViolation>();
  let packs: string[] = [];
  let succeeded = false;

  for (const { resourcePreEvent, resOutputsEvent, diagnosticEvent, policyEvent, summaryEvent } of events) {
    const metadata = (resourcePreEvent ?? resOutputsEvent)?.metadata;
    if (metadata && !isPartOfReplace(metadata, steps.get(metadata.urn))) {
      steps.set(metadata.urn, stepOf(metadata));
    }
    if (diagnosticEvent) {
      const { urn = "", message, severity } = diagnosticEvent;
      const lines = log.get(urn) ?? [];
      log.set(urn, lines);
      if (severity === "error" && !isEcho(message)) {
        errors.push({ urn, message: tidy(message) });
      } else if (severity.startsWith("info")) {
        lines.push(...tidy(message).split("\n"));
      }
    }
    if (policyEvent) {
      const { policyName, resourceUrn, message, enforcementLevel } = policyEvent;
      const [, ...sentences] = tidy(message).split("\n");
      const said = sentences.join(" ").trim() || tidy(message);
      const resource = nameOf(resourceUrn ?? "");
      const mandatory = enforcementLevel !== "advisory";
      violations.set(`${policyName} ${resource} ${said}`, { rule: policyName, resource, message: said, mandatory });
    }
    if (summaryEvent) {
      packs = Object.keys(summaryEvent.PolicyPacks ?? {});
      succeeded = summaryEvent.result !== "failed";
    }
  }
  // A build's log goes on for a while after its error was reported.
  const problems = errors.map(({ urn, message }) => ({
    resource: nameOf(urn) || "the program",
    message,
    log: relevant(log.get(urn) ?? []),
  }));
  return {
    steps: [...steps.values()],
    problems,
    packs,
    violations: [...violations.values()],
    succeeded: succeeded && problems.length === 0,
  };
}

interface Event {
  resourcePreEvent?: { metadata: Metadata };
  resOutputsEvent?: { metadata: Metadata };
  diagnosticEvent?: { urn?: string; message: string; severity: string };
  policyEvent?: { policyName: string; resourceUrn?: string; message: string; enforcementLevel: string };
  summaryEvent?: { PolicyPacks?: Record<string, string>; result?: string };
}

interface Metadata {
  op: string;
  urn: string;
  type: string;
  diffs?: string[] | null;
  old?: RawState | null;
  new?: RawState | null;
}

interface RawState {
  inputs?: Record<string, unknown> | null;
  outputs?: Record<string, unknown> | null;
  retainOnDelete?: boolean;
}

// A replacement is three steps; the one in the middle has both states.
function isPartOfReplace({ op }: Metadata, before: Step | undefined): boolean {
  return before?.op === "replace" ? op !== "replace" : false;
}

function stepOf({ op, urn, type, diffs, old, new: after }: Metadata): Step {
  const plain = op.replace(/^(create-replacement|delete-replaced)$/, "replace") as Op;
  return {
    ...{ op: plain, urn, type, name: nameOf(urn), diffs: diffs ?? [] },
    ...(old && { before: stateOf(old) }),
    ...(after && { after: stateOf(after) }),
  };
}

function stateOf({ inputs, outputs, retainOnDelete }: RawState): State {
  const record = (of: unknown) => marked(of ?? {}) as Record<string, unknown>;
  return { inputs: record(inputs), outputs: record(outputs), retainOnDelete: retainOnDelete === true };
}

const unknownMarks = new Set([
  ...["1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", "3eeb2bf0-c639-47a8-9e75-3b44932eb421"],
  ...["04da6b54-80e4-46f7-96ec-b56ff0331ba9", "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2"],
  ...["030794c1-ac77-496b-92df-f27374a8bd58", "e48ece36-62e2-4504-bad9-02848725956a"],
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);
const specialMark = "4dabf18193072939515e22adb298388d";

function marked(of: unknown): unknown {
  if (Array.isArray(of)) {
    return of.map(marked);
  }
  if (typeof of === "object" && of !== null) {
    return specialMark in of
      ? secret
      : Object.fromEntries(Object.entries(of).map(([key, item]) => [key, marked(item)]));
  }
  return typeof of === "string" && unknownMarks.has(of) ? unknown : of;
}

/** Of a build's log, the end of the step that failed. The provider does not always pass that on: then, of all of it. */
function relevant(lines: readonly string[]): string[] {
  const failed = lines.findLast((line) => /^#\d+ ERROR/.test(line))?.split(" ")[0];
  const own = lines.filter((line) => failed === undefined || line.startsWith(`${failed} `));
  const noise =
    /^$|^#\d+ (\.\.\.|DONE|CACHED|\[internal\]|loading policies|[\d.]+ (checking policy|policy decision) for)/;
  return own.filter((line) => !noise.test(line)).slice(-20);
}

function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}

/** The engine repeats every failure in words of its own. */
function isEcho(message: string): boolean {
  return /^(preview|update) failed$|^resource registration failed$/m.test(tidy(message));
}

function tidy(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  return message.replaceAll(/<\{%[^%]*%\}>|\u001b\[[0-9;]*m/g, "").trim();
}
