import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../../local/paths.ts";

/** The command that a Dockerfile gives in its first lines, as words. */
export function documentedBuild(dockerfile: string): string[] {
  const text = readFileSync(join(root, dockerfile), "utf8");
  const line = /^#\s+(docker build .+)$/m.exec(text)?.[1];
  if (!line) {
    throw new Error(`${dockerfile} does not say how it is built`);
  }
  return line.split(" ");
}

/** What `docker build` asks of the builder, in the words of buildctl: Docker takes no part in these tests. */
export function buildctlArgs(command: readonly string[], checkout: string, application: string): string[] {
  const { values, positionals } = parseArgs({
    args: command.slice("docker build".split(" ").length),
    options: { file: { type: "string", short: "f" }, "build-context": { type: "string", multiple: true } },
    allowPositionals: true,
  });
  const [context, ...more] = positionals.map((place) =>
    place === "<application>" ? application : join(checkout, place),
  );
  if (!values.file || !context || more.length > 0) {
    throw new Error(`this is no command that builds an image: ${command.join(" ")}`);
  }
  const named = (values["build-context"] ?? []).map((pair) => pair.split("=") as [string, string]);
  return [
    ...["--local", `context=${context}`, "--local", `dockerfile=${join(checkout, dirname(values.file))}`],
    ...["--opt", `filename=${basename(values.file)}`],
    ...named.flatMap(([name, path]) => {
      const place = path === "<application>" ? application : join(checkout, path);
      return ["--opt", `context:${name}=local:${name}`, "--local", `${name}=${place}`];
    }),
  ];
}
