// One measured run of the engine in a process of its own: all files at once, then its times and peak memory as JSON.
import { fetchArtifact } from "../artifacts/fetch.ts";

const { files, cacheDir, rehash } = JSON.parse(process.argv[2] ?? "{}") as {
  files: { url: string; sha256: string }[];
  cacheDir: string;
  rehash?: boolean;
};

const cpu = process.cpuUsage();
const start = performance.now();
await Promise.all(
  files.map(({ url, sha256 }) =>
    fetchArtifact({ title: url, urls: [url], sha256 }, { cacheDir, rehash: rehash ?? false }),
  ),
);
const wallS = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({ wallS, cpuS: (user + system) / 1e6, peakMB: (process.resourceUsage().maxRSS * 1024) / 1e6 }),
);
