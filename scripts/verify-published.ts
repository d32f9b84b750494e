// Run by the component after a push: EXPECTED (JSON) says what must be in the registry. When it is, the record that the
// proof left in the image goes to standard output.
import { compareProven, comparePublished, type Expectation } from "../registry/published.ts";
import { readRecord } from "../registry/record.ts";

const { EXPECTED = "{}", REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password } = process.env;
try {
  const expected: Expectation = JSON.parse(EXPECTED);
  const credentials = username && password ? { username, password } : undefined;
  const differences = await comparePublished(expected, credentials);
  differences.push(...(await compareProven(expected, credentials)));
  for (const difference of differences) {
    console.error(difference);
  }
  console.log(JSON.stringify(await readRecord(expected.repository, expected.digest, credentials)));
  process.exitCode = differences.length > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
