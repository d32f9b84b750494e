import { createHash, randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir, uptime } from "node:os";
import { join } from "node:path";
import type { Validators } from "./http.ts";
import { lockScope } from "./lock.ts";
import type { Sha256 } from "./pins.ts";

/** What is known of a verified file, kept beside it. */
export interface CacheRecord {
  sizeBytes: number;
  /** What the file looked like when its bytes were last hashed; anything else means hashing again. */
  mtimeMs: number;
  ctimeMs: number;
  verifiedAtMs: number;
  /** When bytes from upstream, or its word that nothing changed, last confirmed it. */
  confirmedAtMs: number;
  downloadSha256?: string;
  /** By redacted URL: the version that was found to be the pinned file. */
  sources: Record<string, Validators>;
}

/** What a mirror just told us about the file. */
export type Confirmation = Pick<CacheRecord, "confirmedAtMs" | "sources"> & { downloadSha256?: string };

/** A verified file in the cache. */
export interface CacheEntry {
  path: string;
  record: CacheRecord;
}

// A part file that nobody has touched for so long belongs to nobody, in whatever container its owner ran.
const abandonedAfterMs = 60 * 60_000;

/** FACECRAFT_CACHE, else $XDG_CACHE_HOME/facecraft, else ~/.cache/facecraft. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.FACECRAFT_CACHE) return env.FACECRAFT_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "facecraft");
}

/** Files addressed by the sha256 of their bytes. A name appears only by renaming a whole, verified file. */
export class Cache {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  path(sha256: Sha256): string {
    return join(this.dir, sha256);
  }

  /**
   * The file with this hash if it is there and still right. It is hashed again unless its size and times are those
   * recorded at the last hashing, and that was since the machine started. "corrupt" when its bytes are other ones.
   */
  async find(sha256: Sha256, options: { rehash?: boolean } = {}): Promise<CacheEntry | "corrupt" | undefined> {
    const path = this.path(sha256);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || !found.isFile()) return undefined;
    const record = await this.readRecord(sha256);
    const bootedAtMs = Date.now() - uptime() * 1000;
    const same =
      record?.sizeBytes === found.size && record.mtimeMs === found.mtimeMs && record.ctimeMs === found.ctimeMs;
    if (record !== undefined && same && record.verifiedAtMs > bootedAtMs && !options.rehash) return { path, record };
    if ((await hashFile(path)) !== sha256) return "corrupt";
    // What is recorded is how the file looked before it was hashed: a change in between shows the next time.
    return this.write(sha256, {
      confirmedAtMs: 0,
      sources: {},
      ...record,
      ...looksOf(found),
      verifiedAtMs: Date.now(),
    });
  }

  /** A name for a file in the making, in the same folder so that it can be renamed. */
  async partFile(sha256: Sha256): Promise<string> {
    await mkdir(this.dir, { recursive: true });
    return this.partName(sha256);
  }

  private partName(sha256: Sha256): string {
    return join(this.dir, `${sha256}.${lockScope}.${randomBytes(6).toString("hex")}.part`);
  }

  /** Makes a verified part file the entry. */
  async adopt(sha256: Sha256, part: string, confirmed: Confirmation): Promise<CacheEntry> {
    await rename(part, this.path(sha256));
    const found = await stat(this.path(sha256));
    return this.write(sha256, { ...confirmed, ...looksOf(found), verifiedAtMs: Date.now() });
  }

  /** Remembers that upstream still serves these bytes. */
  async confirm(sha256: Sha256, entry: CacheEntry, confirmed: Confirmation): Promise<CacheEntry> {
    return this.write(sha256, { ...entry.record, ...confirmed });
  }

  /** A read-only cache is still good for reading, so a record that cannot be written is no failure. */
  private async write(sha256: Sha256, record: CacheRecord): Promise<CacheEntry> {
    const path = this.path(sha256);
    const part = this.partName(sha256);
    try {
      await writeFile(part, `${JSON.stringify(record, null, 2)}\n`);
      await rename(part, `${path}.json`);
    } catch {
      await rm(part, { force: true }).catch(() => {});
    }
    return { path, record };
  }

  async remove(sha256: Sha256): Promise<void> {
    await rm(this.path(sha256), { force: true });
    await rm(`${this.path(sha256)}.json`, { force: true });
  }

  /** Removes what killed processes left behind. Call it while holding the lock of this hash. */
  async sweep(sha256: Sha256): Promise<void> {
    for (const name of await readdir(this.dir).catch(() => [])) {
      if (!name.startsWith(`${sha256}.`) || !name.endsWith(".part")) continue;
      const path = join(this.dir, name);
      const touched = await stat(path).then(
        (found) => found.mtimeMs,
        () => 0,
      );
      const ours = name.startsWith(`${sha256}.${lockScope}.`);
      if (ours || touched < Date.now() - abandonedAfterMs) await rm(path, { force: true }).catch(() => {});
    }
  }

  private async readRecord(sha256: Sha256): Promise<CacheRecord | undefined> {
    try {
      const record = JSON.parse(await readFile(`${this.path(sha256)}.json`, "utf8")) as CacheRecord;
      return typeof record?.sizeBytes === "number" && typeof record.sources === "object" ? record : undefined;
    } catch {
      return undefined;
    }
  }
}

function looksOf({ size, mtimeMs, ctimeMs }: Stats): Pick<CacheRecord, "sizeBytes" | "mtimeMs" | "ctimeMs"> {
  return { sizeBytes: size, mtimeMs, ctimeMs };
}

/** The sha256 of a file's bytes, in lower-case hex. Two buffers take turns: one is hashed while the other is filled. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path);
  try {
    let [ready, next] = [Buffer.allocUnsafeSlow(1 << 20), Buffer.allocUnsafeSlow(1 << 20)];
    let { bytesRead } = await file.read(ready);
    while (bytesRead > 0) {
      const reading = file.read(next);
      hash.update(ready.subarray(0, bytesRead));
      ({ bytesRead } = await reading);
      [ready, next] = [next, ready];
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}
