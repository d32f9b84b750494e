// The engine's event log, read once more: what the report is held against is not what the report reads it with.

export interface Events {
  /** Steps of the program's own resources that are not `same`, as `<op> <name>`; what a refresh read is none. */
  changes: string[];
  errors: { resource: string; message: string }[];
  warnings: string[];
  /** Names of the rules that a policy pack found broken. */
  violations: string[];
  /** What the builder was told of each image. */
  built: string[];
  /** What the engine counts at its end; undefined where it did not come to that. */
  counts?: Record<string, number>;
}

interface Raw {
  resourcePreEvent?: { metadata: { op: string; urn: string; type: string } };
  diagnosticEvent?: { urn?: string; message: string; severity: string };
  policyEvent?: { policyName: string };
  summaryEvent?: { resourceChanges?: Record<string, number> };
}

export function readLog(text: string): Events {
  const raw = text.split("\n").flatMap((line): Raw[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return []; // half a line of an engine that was killed
    }
  });
  const said = raw
    .flatMap(({ diagnosticEvent }) => diagnosticEvent ?? [])
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    .map(({ message, ...rest }) => ({ ...rest, message: message.replaceAll(/<\{%[^%]*%\}>|\u001b\[[0-9;]*m/g, "") }));
  const steps = raw.flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? []);
  const counts = raw.findLast(({ summaryEvent }) => summaryEvent)?.summaryEvent?.resourceChanges;
  return {
    changes: steps
      .filter(({ op, type }) => !["same", "read", "refresh"].includes(op) && !type.startsWith("pulumi:providers:"))
      .map(({ op, urn }) => `${op} ${nameOf(urn)}`),
    errors: said
      .filter(({ severity }) => severity === "error")
      .map(({ urn = "", message }) => ({ resource: nameOf(urn), message })),
    warnings: said.filter(({ severity }) => severity === "warning").map(({ message }) => message),
    violations: raw.flatMap(({ policyEvent }) => policyEvent?.policyName ?? []),
    built: [...new Set(said.filter(({ message }) => /^#\d+ /m.test(message)).map(({ urn = "" }) => nameOf(urn)))],
    ...(counts && { counts }),
  };
}

function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}
