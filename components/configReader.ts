import { statSync } from "node:fs";
import { resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/** Every problem of a stack's config, one sentence each. Pulumi shows it without a stack trace. */
export class ConfigError extends pulumi.RunError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** Reads values as Pulumi hands them over (strings, JSON for what is structured), and collects what is wrong with them. */
export class ConfigReader {
  readonly problems: string[] = [];
  readonly #raw: Readonly<Record<string, string>>;

  /** @param raw values by their keys, without the namespace */
  constructor(raw: Readonly<Record<string, string>>) {
    this.#raw = raw;
  }

  /** Notes a wrong value: the key, the value, and what would be right. */
  wrong(key: string, value: unknown, right: string): void {
    const shown = typeof value === "string" ? `"${value}"` : JSON.stringify(value);
    this.problems.push(`facecraft:${key} is ${shown}; it must be ${right}.`);
  }

  /** Notes each key of an object that is none of the known ones. */
  onlyKnown(prefix: string, value: Readonly<Record<string, unknown>>, known: readonly string[]): void {
    for (const key of Object.keys(value).filter((key) => !known.includes(key))) {
      this.problems.push(`facecraft:${prefix}${key} is not a config key; known are ${known.join(", ")}.`);
    }
  }

  text(key: string): string {
    return (this.#raw[key] ?? "").trim();
  }

  matching(key: string, pattern: RegExp, right: string): string {
    const value = this.text(key);
    if (!pattern.test(value)) {
      this.wrong(key, value, right);
    }
    return value;
  }

  /** Like `matching`, but empty means that it was not given. */
  optional(key: string, pattern: RegExp, right: string): string | undefined {
    return this.text(key) === "" ? undefined : this.matching(key, pattern, right);
  }

  oneOf<T extends string>(key: string, values: readonly T[]): T {
    const value = this.text(key) as T;
    if (!values.includes(value)) {
      this.wrong(key, value, values.join(" or "));
    }
    return value;
  }

  /** True where it is not given. */
  truth(key: string): boolean {
    return this.text(key) === "" || this.oneOf(key, ["true", "false"]) === "true";
  }

  /** Path of an existing file, where one is given. */
  file(key: string, right: string): string | undefined {
    const path = this.text(key) || undefined;
    if (path !== undefined && !statSync(resolve(path), { throwIfNoEntry: false })?.isFile()) {
      this.wrong(key, path, right);
    }
    return path;
  }

  list(key: string, item: RegExp, right: string): string[] {
    const value = parseJson(this.text(key) || "[]");
    if (Array.isArray(value) && value.every((entry) => typeof entry === "string" && item.test(entry))) {
      return value;
    }
    this.wrong(key, value ?? this.text(key), right);
    return [];
  }

  object(key: string): Record<string, unknown> {
    const value = parseJson(this.text(key) || "{}");
    if (isRecord(value)) {
      return value;
    }
    this.wrong(key, this.text(key), "an object");
    return {};
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
