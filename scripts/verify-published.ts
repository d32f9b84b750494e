// Run by the component after a push: EXPECTED (JSON) says what must be in the registry. When it is, what the image says of its
// own proof goes to standard output, of the first platform's. What was said of the release before is in PULUMI_COMMAND_STDOUT.
import { readSaid, say } from "../plan/proven.ts";
import { givenLogin } from "../registry/login.ts";
import { comparePublished, type Expectation } from "../registry/published.ts";

const { EXPECTED = "{}", REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password } = process.env;
try {
  const expected: Expectation = JSON.parse(EXPECTED);
  const { differences, images } = await comparePublished(expected, givenLogin({ username, password }));
  for (const difference of differences) {
    console.error(difference);
  }
  const [first] = images;
  if (first) {
    console.log(JSON.stringify(say(expected.digest, first, readSaid(process.env.PULUMI_COMMAND_STDOUT))));
  }
  process.exitCode = differences.length > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
