// A process of its own that fetches one file, for tests that kill it or run several at once.
import { fetchArtifact } from "../../artifacts/fetch.ts";

// Another user may not be able to read this checkout: what is needed is loaded by now.
const { TEST_UID } = process.env;
if (TEST_UID) {
  process.setuid?.(Number(TEST_UID));
}

const [url = "", sha256 = "", cacheDir = ""] = process.argv.slice(2);
const artifact = await fetchArtifact({ title: "CodeFormer", urls: [url], sha256 }, { cacheDir, retryDelayMs: 5 });
console.log(artifact.path);
