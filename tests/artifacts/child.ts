// A process of its own that fetches one file, for tests that kill it or run several at once.
import { fetchArtifact } from "../../artifacts/fetch.ts";

const [url = "", sha256 = "", cacheDir = ""] = process.argv.slice(2);
const artifact = await fetchArtifact({ title: "CodeFormer", urls: [url], sha256 }, { cacheDir, retryDelayMs: 5 });
console.log(artifact.path);
