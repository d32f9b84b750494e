// Passes connections on between a port of localhost and a socket: `node forward.ts FROM TO [PROGRAM ARGUMENT...]`, each of FROM and TO a
// port or a path. Into a network namespace that has no way out, what others serve comes through a socket in a folder. A
// program that is named runs as long as the connections are passed on, and ends with them.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";

const [from = "", to = "", program, ...args] = process.argv.slice(2);

function address(where: string): NetConnectOpts & { path?: string } {
  return /^\d+$/.test(where) ? { host: "localhost", port: Number(where) } : { path: where };
}

const listens = address(from);
if ("path" in listens) {
  rmSync(from, { force: true });
}
const server = createServer((near) => {
  const far = connect(address(to));
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
  near.pipe(far).pipe(near);
});
server.on("error", (error) => {
  console.error(`${from} cannot be listened on: ${error.message}`);
  process.exit(1);
});
server.listen(listens, () => {
  if (program === undefined) {
    return;
  }
  const child = spawn(program, args, { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    console.error(`${program} cannot be run: ${error.message}`);
    process.exit(127);
  });
  child.on("exit", (code) => process.exit(code ?? 128));
});
