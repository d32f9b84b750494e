// Passes connections on between a port of localhost and a socket: `node forward.ts FROM TO [while-parent-lives]`, each of FROM and TO a
// port or a path. Into a network that has no way out, what others serve comes through a socket in a folder.
import { rmSync } from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";

const [from = "", to = "", bound] = process.argv.slice(2);

function address(where: string): NetConnectOpts {
  return /^\d+$/.test(where) ? { host: "localhost", port: Number(where) } : { path: where };
}

const listens = address(from);
if ("path" in listens) {
  rmSync(from, { force: true });
}
createServer((near) => {
  const far = connect(address(to));
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
  near.pipe(far).pipe(near);
})
  .on("error", (error) => {
    console.error(`${from} cannot be listened on: ${error.message}`);
    process.exit(1);
  })
  .listen(listens);

if (bound) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) {
      process.exit(0);
    }
  }, 500);
}
