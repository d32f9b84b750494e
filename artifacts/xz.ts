import { Readable, Writable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { corrupt, type Decoder } from "./decoder.ts";

/** liblzma's small sister as WebAssembly, behind the web streams that it is written for. */
export async function unxz(): Promise<Decoder> {
  // Loaded only when it is needed: it costs more memory than a download.
  const { default: xz } = await import("xz-decompress");
  const pipe = new TransformStream<Uint8Array, Uint8Array>();
  const decoded = new xz.XzReadableStream(pipe.readable as never) as unknown as NodeReadableStream;
  const output = Readable.fromWeb(decoded);
  const input = Writable.fromWeb(pipe.writable).on("error", () => {});
  const done = new Promise<void>((resolve, reject) => {
    output.once("end", resolve);
    output.once("close", () => reject(corrupt("xz", "stopped")));
    output.on("error", (error: Error) => reject(corrupt("xz", said(error.message))));
  });
  return { input, output, done, kill: () => output.destroy() };
}

const words: Record<string, string> = {
  4: "its dictionary is larger than 64 MiB, which is not supported",
  5: "bytes where a part of it should begin are none",
  6: "it has a filter or a check that is not supported; `xz --check=crc64` without filters is",
  7: "its check does not fit its data",
  8: "unexpected end of file",
};

/** The library's errors are numbers. */
function said(message: string): string {
  return words[/error code (\d)/.exec(message)?.[1] ?? ""] ?? message;
}
