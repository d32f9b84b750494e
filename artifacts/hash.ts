import { createHash } from "node:crypto";
import { openRegular } from "./local.ts";

/** The sha256 of a file's bytes, in lower-case hex. Two buffers take turns: one is hashed while the other is filled. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await openRegular(path);
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
