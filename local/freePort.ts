import { once } from "node:events";
import { createServer } from "node:net";

/** A port of loopback that nobody listens on at this moment: the one that is wanted, or else any. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer();
  try {
    server.listen(wanted, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    if (wanted === 0) {
      throw error;
    }
    return freePort();
  }
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
