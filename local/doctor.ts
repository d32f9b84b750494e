import { existsSync } from "node:fs";
import { standIns } from "./artifacts.ts";
import { baseImages } from "./base.ts";
import { which } from "./exec.ts";
import { tools } from "./paths.ts";
import { knownPorts, runningServices } from "./services.ts";
import { pulumiTools, serviceTools } from "./tools.ts";

const systemPrograms: Record<string, string> = {
  git: "tells the revision of the application",
  openssl: "makes the local registry's certificate",
  python3: "makes the stand-in wheels and fetches the shape predictor; needs pip",
  bzip2: "compresses the shape predictor as upstream does",
  tar: "unpacks what is downloaded",
};

/** Says what is installed, where it comes from, and what to do about what is missing; true when nothing is. */
export async function doctor(): Promise<boolean> {
  let healthy = true;
  const rows: string[][] = [
    ["node", process.versions.node, process.execPath.startsWith(tools) ? "obtained" : "yours", process.execPath],
  ];
  const advice: string[] = [];
  for (const tool of [...pulumiTools, ...serviceTools]) {
    const found = tool.find();
    rows.push([tool.name, tool.version, found?.origin ?? "missing", found?.path ?? `(${tool.use})`]);
    if (found === undefined) {
      healthy = false;
      advice.push(`${tool.name} is missing: \`make up\` downloads it, builds it with Go, or puts a stand-in there.`);
    }
    if (found?.origin === "stand-in") {
      advice.push(
        `${tool.name} is a stand-in of this project (local/standins/README.md): install Pulumi to use the real one.`,
      );
    }
  }
  for (const [program, use] of Object.entries(systemPrograms)) {
    const path = which(program);
    rows.push([program, "", path ? "yours" : "missing", path ?? `(${use})`]);
    if (!path) {
      healthy = false;
      advice.push(`${program} is missing, which ${use}: install it with your system's package manager.`);
    }
  }
  if (!which("go") && rows.some(([, , origin]) => origin === "missing")) {
    advice.push("There is no Go: without it, only what can be downloaded is obtained. Install Go 1.26.");
  }
  rows.push([
    "lbzip2",
    "",
    which("lbzip2") ? "yours" : "not installed",
    which("lbzip2") ?? "(optional: decompresses .bz2 models on all cores)",
  ]);

  console.log(table(rows));
  console.log("\nLocal services");
  const ports = knownPorts();
  console.log(
    table(
      runningServices().map(({ name, pid }) => [
        name,
        pid ? `running, process ${pid}` : "stopped",
        ports && name in ports ? `port ${ports[name as keyof typeof ports]}` : "",
      ]),
    ),
  );
  const images = await baseImages().catch(() => undefined);
  console.log("\nWhat the local stacks use in place of the real thing");
  console.log(
    table([
      ["torch, torchvision", "stand-in wheels (local/wheels/README.md)"],
      ...standIns.map(({ file, mebibytes }) => [file, `stand-in of ${mebibytes} MiB with a pin of its own`]),
      ["shape predictor", "the real file, with the real pin"],
      ...Object.entries(images ?? {}).map(([arg, image]) => [arg, image]),
    ]),
  );
  for (const line of advice) {
    console.log(`\n${line}`);
  }
  if (!existsSync(tools)) {
    console.log(`\n${tools} is not there yet; \`make up\` makes it.`);
  }
  return healthy;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map(
      (row) =>
        `  ${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}`,
    )
    .join("\n");
}
