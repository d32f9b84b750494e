/** One entry of a tar archive. */
export interface Entry {
  /** Without a leading "./" or "/", nor a trailing "/". */
  path: string;
  kind: "file" | "folder" | "link" | "other";
  size: number;
  /** Where a link points: for a hard link, a path of this archive. */
  target: string;
}

/** Decides from an entry whether its bytes are wanted, as a function that gets them piece by piece. */
export type OnEntry = (entry: Entry) => ((piece: Buffer) => void) | undefined;

/** Reads a tar archive (ustar, with the extended headers of pax and GNU) as it streams by. */
export async function readTar(chunks: AsyncIterable<Uint8Array>, onEntry: OnEntry): Promise<void> {
  let pending: Buffer[] = [];
  let available = 0;
  let extended: Record<string, string> = {};
  // What is being read: a header block, or the rest of a body and its padding.
  let body: { left: number; padding: number; take: ((piece: Buffer) => void) | undefined } | undefined;

  const next = (wanted: number): Buffer => {
    const joined = pending.length === 1 ? (pending[0] as Buffer) : Buffer.concat(pending);
    pending = joined.length > wanted ? [joined.subarray(wanted)] : [];
    available -= Math.min(wanted, joined.length);
    return joined.subarray(0, wanted);
  };

  for await (const chunk of chunks) {
    pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    available += chunk.byteLength;
    while (available > 0) {
      if (body) {
        if (body.left > 0) {
          const piece = next(Math.min(body.left, available));
          body.left -= piece.length;
          body.take?.(piece);
        } else {
          body.padding -= next(Math.min(body.padding, available)).length;
        }
        if (body.left === 0 && body.padding === 0) body = undefined;
        continue;
      }
      if (available < 512) break;
      const header = next(512);
      if (header[0] === 0) continue;
      const size = Number(extended.size ?? numberAt(header, 124, 12));
      const type = String.fromCharCode(header[156] ?? 0);
      const padding = (512 - (size % 512)) % 512;
      if (type === "x" || type === "g" || type === "L" || type === "K") {
        const pieces: Buffer[] = [];
        let left = size;
        const take = (piece: Buffer) => {
          pieces.push(Buffer.from(piece));
          left -= piece.length;
          if (left > 0 || type === "g") return;
          const text = Buffer.concat(pieces).toString();
          if (type === "x") extended = { ...extended, ...paxRecords(text) };
          else extended[type === "L" ? "path" : "linkpath"] = text.replace(/\0.*$/s, "");
        };
        body = size > 0 ? { left: size, padding, take } : undefined;
        continue;
      }
      const prefix = textAt(header, 345, 155);
      const name = extended.path ?? (prefix ? `${prefix}/${textAt(header, 0, 100)}` : textAt(header, 0, 100));
      const kind =
        type === "0" || type === "\0"
          ? "file"
          : type === "5"
            ? "folder"
            : type === "1" || type === "2"
              ? "link"
              : "other";
      const target = extended.linkpath ?? textAt(header, 157, 100);
      extended = {};
      const take = onEntry({ path: clean(name), kind, size: kind === "file" ? size : 0, target: clean(target) });
      body = kind === "file" && size > 0 ? { left: size, padding, take } : undefined;
    }
  }
}

function clean(path: string): string {
  return path.replace(/^(\.?\/)+/, "").replace(/\/+$/, "");
}

function textAt(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString();
}

/** Octal digits, or GNU's big-endian bytes where those do not suffice. */
function numberAt(header: Buffer, start: number, length: number): number {
  if (((header[start] ?? 0) & 0x80) !== 0)
    return Number(BigInt(`0x${header.subarray(start + 1, start + length).toString("hex")}`));
  return Number.parseInt(textAt(header, start, length).trim() || "0", 8);
}

function paxRecords(text: string): Record<string, string> {
  const records: Record<string, string> = {};
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.subarray(at, space).toString());
    if (!(length > 0)) break;
    const [, key = "", value = ""] =
      /^([^=]*)=([\s\S]*)\n$/.exec(bytes.subarray(space + 1, at + length).toString()) ?? [];
    records[key] = value;
    at += length;
  }
  return records;
}
