// Run by the component after a push: EXPECTED (JSON) says what must be in the registry. Silent when it is.
import { comparePublished } from "./published.ts";

const { EXPECTED = "{}", REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password } = process.env;
try {
  const differences = await comparePublished(
    JSON.parse(EXPECTED),
    username && password ? { username, password } : undefined,
  );
  for (const difference of differences) {
    console.error(difference);
  }
  process.exitCode = differences.length > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
