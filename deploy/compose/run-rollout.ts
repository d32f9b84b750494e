// Run by ComposeService: ROLLOUT (JSON) says what to run. Prints what runs in the end, or fails with the reason.
import { dockerHost } from "./dockerHost.ts";
import { imageOf, type Rollout, rollOut } from "./rollout.ts";

const rollout = JSON.parse(process.env.ROLLOUT ?? "{}") as Rollout & { remove?: boolean };
try {
  const host = await dockerHost();
  if (process.argv[2] === "remove") {
    // Volumes stay: they hold people's pictures.
    await host.down(rollout.file.name, { volumes: false });
  } else {
    await rollOut(rollout, host);
    console.log(JSON.stringify({ image: imageOf(rollout.file) }));
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
