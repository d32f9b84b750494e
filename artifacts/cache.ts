import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { uptime } from "node:os";
import { join, resolve } from "node:path";
import { hashFile } from "./hash.ts";
import { openRegular } from "./local.ts";
import type { Sha256 } from "./pins.ts";
import { type CacheRecord, parseRecord } from "./record.ts";

/** What a mirror just told us about the file. */
export type Confirmation = Pick<CacheRecord, "confirmedAtMs" | "sources"> & { downloadSha256?: string };

/** A verified file in the cache. */
export interface CacheEntry {
  path: string;
  record: CacheRecord;
}

// A part file that nobody has touched for so long belongs to nobody, in whatever container its owner ran.
const abandonedAfterMs = 24 * 60 * 60_000;
// Who works without the lock: nobody can tell whether the owner of such a part file still lives.
const unlocked = "unlocked";
const partName = /^[0-9a-f]{64}\.[0-9a-z]+\.[0-9a-f]+\.part$/;

/** Files addressed by the sha256 of their bytes. A name appears only by renaming a whole, verified file. */
export class Cache {
  readonly dir: string;
  readonly #scope: string;

  /** `scope` is where our lock of the hash is seen, if we hold it: what is left of others in it was left by the dead. */
  constructor(dir: string, scope: string = unlocked) {
    this.dir = dir;
    this.#scope = scope;
  }

  path(sha256: Sha256): string {
    return join(this.dir, sha256);
  }

  /** What makes two spellings of the folder one, links and mounts included: its number on its disk. */
  async identity(): Promise<string> {
    await mkdir(this.dir, { recursive: true }).catch(() => {});
    const found = await stat(this.dir, { bigint: true }).catch(() => undefined);
    return found === undefined ? resolve(this.dir) : `${found.dev}:${found.ino}`;
  }

  /**
   * The file with this hash if it is there and still right. It is hashed again unless its size and times are those
   * recorded at the last hashing, and that was since the machine started. "corrupt" when its bytes are other ones.
   */
  async find(sha256: Sha256, options: { rehash?: boolean } = {}): Promise<CacheEntry | "corrupt" | undefined> {
    const path = this.path(sha256);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || !found.isFile()) {
      return undefined;
    }
    const record = await this.#readRecord(sha256);
    const bootedAtMs = Date.now() - uptime() * 1000;
    const same =
      record?.sizeBytes === found.size && record.mtimeMs === found.mtimeMs && record.ctimeMs === found.ctimeMs;
    if (record !== undefined && same && record.verifiedAtMs > bootedAtMs && !options.rehash) {
      return { path, record };
    }
    if ((await hashFile(path)) !== sha256) {
      return "corrupt";
    }
    // What is recorded is how the file looked before it was hashed: a change in between shows the next time.
    return this.#write(sha256, {
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
    return this.#partName(sha256);
  }

  #partName(sha256: Sha256): string {
    return join(this.dir, `${sha256}.${this.#scope}.${randomBytes(6).toString("hex")}.part`);
  }

  /** Makes a verified part file the entry. */
  async adopt(sha256: Sha256, part: string, confirmed: Confirmation): Promise<CacheEntry> {
    await rename(part, this.path(sha256));
    const found = await stat(this.path(sha256));
    return this.#write(sha256, { ...confirmed, ...looksOf(found), verifiedAtMs: Date.now() });
  }

  /** Remembers that upstream still serves these bytes. */
  async confirm(sha256: Sha256, entry: CacheEntry, confirmed: Confirmation): Promise<CacheEntry> {
    return this.#write(sha256, { ...entry.record, ...confirmed });
  }

  /** A read-only cache is still good for reading, so a record that cannot be written is no failure. */
  async #write(sha256: Sha256, record: CacheRecord): Promise<CacheEntry> {
    const path = this.path(sha256);
    const part = this.#partName(sha256);
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

  /** Removes what killed processes left behind: of this hash where our lock is seen, and what is old of any. */
  async sweep(sha256: Sha256): Promise<void> {
    const parts = (await readdir(this.dir).catch(() => [])).filter((name) => partName.test(name));
    if (parts.length === 0) {
      return;
    }
    const now = await this.#diskTime(sha256);
    for (const name of parts) {
      const path = join(this.dir, name);
      const ours = this.#scope !== unlocked && name.startsWith(`${sha256}.${this.#scope}.`);
      const touched = await stat(path).then(
        (found) => found.mtimeMs,
        () => now,
      );
      if (ours || touched < now - abandonedAfterMs) {
        await rm(path, { force: true }).catch(() => {});
      }
    }
  }

  /** The time as this disk sees it: its clock wrote the times of the files, not ours. */
  async #diskTime(sha256: Sha256): Promise<number> {
    const probe = this.#partName(sha256);
    try {
      await writeFile(probe, "");
      return (await stat(probe)).mtimeMs;
    } catch {
      return 0;
    } finally {
      await rm(probe, { force: true }).catch(() => {});
    }
  }

  async #readRecord(sha256: Sha256): Promise<CacheRecord | undefined> {
    try {
      const file = await openRegular(`${this.path(sha256)}.json`);
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(1 << 20), 0, 1 << 20, 0);
        return parseRecord(buffer.toString("utf8", 0, bytesRead));
      } finally {
        await file.close();
      }
    } catch {
      return undefined;
    }
  }
}

function looksOf({ size, mtimeMs, ctimeMs }: Stats): Pick<CacheRecord, "sizeBytes" | "mtimeMs" | "ctimeMs"> {
  return { sizeBytes: size, mtimeMs, ctimeMs };
}
