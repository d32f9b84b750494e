// Config files of stacks, Pulumi.<stack>.yaml. Loaded only where one is read: the YAML library takes its time.
import { type Document, isMap, type Node, type Pair, parseDocument, stringify, visit } from "yaml";
import { Failure } from "./say.ts";

/** What this project reads of such a file. */
export interface StackFile {
  encryptionsalt?: string;
  config?: Record<string, unknown>;
}

/** @param name of the file, for messages */
export function parseStackFile(text: string, name: string): StackFile {
  return (read(text, name).toJS() ?? {}) as StackFile;
}

export function formatStackFile(content: StackFile): string {
  return stringify(content, { lineWidth: 0 });
}

/** How secrets were encrypted. */
const encryption = ["encryptionsalt", "encryptedkey", "secretsprovider"];

/**
 * Leaves out each config value that holds a `secure:` part, however deep and by whatever alias, and how it was encrypted.
 *
 * @param name of the file, for messages
 */
export function withoutSecrets(text: string, name: string): string {
  const document = read(text, name);
  const { contents } = document;
  if (!isMap(contents)) {
    return text;
  }
  resolveAliases(document, name);
  const config = contents.get("config");
  if (isMap(config)) {
    config.items = config.items.filter((pair) => !holdsSecret(pair));
  }
  contents.items = contents.items.filter((pair) => !encryption.includes(String(pair.key)) && !holdsSecret(pair));
  return document.toString({ lineWidth: 0 });
}

function holdsSecret(pair: Pair): boolean {
  let found = false;
  visit(pair.value as Node | null, {
    Pair: (_key, { key }) => {
      found ||= String(key) === "secure";
      return found ? visit.BREAK : undefined;
    },
  });
  return found;
}

/** An anchor may be about to leave, or bring a secret to where its alias stands. */
function resolveAliases(document: Document, name: string): void {
  visit(document, {
    Alias: (_key, alias, path) => {
      const anchored = alias.resolve(document);
      if (anchored === undefined || path.includes(anchored)) {
        throw new Failure(`${name} has *${alias.source}, which leads to itself.`);
      }
      return anchored.clone() as Node;
    },
  });
}

function read(text: string, name: string): Document {
  const document = parseDocument(text, { merge: true, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const line = text.slice(0, error.pos[0]).split("\n").length;
    throw new Failure(`${name} cannot be read as YAML (line ${line}): ${error.message}`);
  }
  try {
    // Refuses aliases that would multiply without end.
    document.toJS();
  } catch (error) {
    throw new Failure(`${name} cannot be read as YAML: ${(error as Error).message}`);
  }
  return document;
}
