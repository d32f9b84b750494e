/** An outside thing that this repository names; each kind is asked for in its own way. */
export type Thing = { where: string } & (
  | { kind: "base image"; name: string; repository: string; tag?: string; digest?: string }
  | { kind: "model"; name: string; url: string; sha256: string }
  | { kind: "torch index"; name: string; index: string; package: string; version: string; python: string }
  | { kind: "tool" | "plugin"; name: string; url: string }
  | { kind: "action"; name: string; repository: string; ref: string }
  | { kind: "commit"; name: string; url: string; commit: string }
  | { kind: "npm package"; name: string; package: string; version: string }
  | { kind: "address"; name: string; url: string }
);

export type Kind = Thing["kind"];

/** The addresses by which a thing stands in a file, so that none is asked for twice. */
export function addressesOf(thing: Thing): string[] {
  switch (thing.kind) {
    case "torch index":
      return [thing.index];
    case "commit":
      return [`${thing.url}#${thing.commit}`, thing.url];
    case "model":
    case "tool":
    case "plugin":
    case "address":
      return [thing.url];
    default:
      return [];
  }
}

/** An image as Dockerfiles and workflows write it; undefined for what is none, such as the name of a stage. */
export function imageOf(text: string, where: string): Thing | undefined {
  const [, repository, tag, digest] =
    /^((?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9._/-]+?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/i.exec(text) ?? [];
  const named = repository !== undefined && (tag !== undefined || digest !== undefined);
  if (!named || /^(localhost|127\.)/.test(repository)) {
    return undefined;
  }
  const name = tag === undefined ? repository : `${repository}:${tag}`;
  return { kind: "base image", where, name, repository, ...(tag && { tag }), ...(digest && { digest }) };
}

/** Web addresses in a text, without those of this machine and those with placeholders. */
export function urlsIn(text: string): string[] {
  const found = text.match(/https?:\/\/[^\s"'`<>()[\]|\\,;*]+/g) ?? [];
  return [...new Set(found.map((url) => url.replace(/[.:]+$/, "")))].filter((url) => {
    const host = URL.parse(url)?.hostname ?? "";
    return !/[${}]/.test(url) && /\.[a-z]+$/.test(host) && !host.endsWith(".example");
  });
}
