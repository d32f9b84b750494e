import { marked } from "./marks.ts";

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
  /** What the program would change. */
  steps: readonly Step[];
  /** What a refresh found before; without an `after`, the resource is gone. */
  refreshed: readonly Step[];
  /** Names of the images that a builder was really asked to build. */
  built: readonly string[];
  /** What providers said about no resource in particular, such as the provider of the models. */
  remarks: readonly string[];
  problems: readonly Problem[];
  /** What the program, or the engine, warned of; such as files of the application that are not its commit's. */
  warnings: readonly string[];
  /** Policy packs that were loaded, the resources that they were asked about, and what they found. */
  packs: readonly string[];
  judgedByPacks: readonly string[];
  violations: readonly PackViolation[];
  /** Whether the log goes to its end: the engine writes a summary there, and none when it is killed. */
  finished: boolean;
  succeeded: boolean;
}

/** Reads an event log (one JSON object a line). What a build said while it worked is only kept beside its error. */
export function readEvents(text: string): Plan {
  const steps = new Map<string, Step>();
  const refreshed = new Map<string, Step>();
  const remarks = new Set<string>();
  const judgedByPacks = new Set<string>();
  const log = new Map<string, string[]>();
  const errors: { urn: string; message: string }[] = [];
  const warnings = new Set<string>();
  const violations = new Map<string, PackViolation>();
  let packs: string[] = [];
  let result: string | undefined;

  for (const event of parse(text)) {
    const { resourcePreEvent, resOutputsEvent, diagnosticEvent, policyEvent, policyAnalyzeSummaryEvent } = event;
    const metadata = (resourcePreEvent ?? resOutputsEvent)?.metadata;
    if (metadata?.op === "refresh") {
      refreshed.set(metadata.urn, stepOf(metadata));
    } else if (metadata && !isPartOfReplace(metadata, steps.get(metadata.urn))) {
      steps.set(metadata.urn, stepOf(metadata));
    }
    if (diagnosticEvent) {
      const { urn = "", message, severity } = diagnosticEvent;
      const lines = log.get(urn) ?? [];
      log.set(urn, lines);
      if (severity === "error" && !isEcho(message)) {
        errors.push({ urn, message: tidy(message) });
      } else if (severity === "warning") {
        warnings.add(tidy(message));
      } else if (severity === "info#err" && urn === "") {
        remarks.add(tidy(message));
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
    if (policyAnalyzeSummaryEvent?.resourceUrn) {
      judgedByPacks.add(nameOf(policyAnalyzeSummaryEvent.resourceUrn));
    }
    if (event.summaryEvent) {
      packs = Object.keys(event.summaryEvent.PolicyPacks ?? {}).map((pack) => pack.split("|")[0] ?? pack);
      result = event.summaryEvent.result ?? "succeeded";
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
    refreshed: [...refreshed.values()],
    built: [...log].filter(([, lines]) => lines.some((line) => /^#\d+ /.test(line))).map(([urn]) => nameOf(urn)),
    remarks: [...remarks],
    problems,
    warnings: [...warnings],
    packs,
    judgedByPacks: [...judgedByPacks],
    violations: [...violations.values()],
    finished: result !== undefined,
    succeeded: result === "succeeded" && problems.length === 0,
  };
}

/** An engine that is killed leaves half a line behind. */
function* parse(text: string): Generator<Event> {
  for (const line of text.split("\n")) {
    try {
      const event: unknown = JSON.parse(line);
      if (typeof event === "object" && event !== null) {
        yield event;
      }
    } catch {
      // Not a whole event; what it would have said is missed by its consequences: without a summary nothing succeeded.
    }
  }
}

interface Event {
  resourcePreEvent?: { metadata: Metadata };
  resOutputsEvent?: { metadata: Metadata };
  diagnosticEvent?: { urn?: string; message: string; severity: string };
  policyEvent?: { policyName: string; resourceUrn?: string; message: string; enforcementLevel: string };
  policyAnalyzeSummaryEvent?: { resourceUrn?: string };
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
  return {
    op: op.replace(/^(create-replacement|delete-replaced)$/, "replace") as Op,
    urn,
    type,
    name: nameOf(urn),
    diffs: diffs ?? [],
    ...(old && { before: stateOf(old) }),
    ...(after && { after: stateOf(after) }),
  };
}

function stateOf({ inputs, outputs, retainOnDelete }: RawState): State {
  return { inputs: plain(inputs), outputs: plain(outputs), retainOnDelete: retainOnDelete === true };
}

function plain(values: Record<string, unknown> | null | undefined): Record<string, unknown> {
  return marked(values ?? {}) as Record<string, unknown>;
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
