import { execFileSync } from "node:child_process";

/**
 * What a dynamic resource gives the engine to keep. In a process of its own: the test runner rewrites import(), which then
 * does not serialize.
 *
 * @param module path of the class's module, relative to the program
 */
export function stored(
  module: string,
  className: string,
  name: string,
  args: object,
): { type: string; provider: string } {
  const code = `
    import * as pulumi from "@pulumi/pulumi";
    await pulumi.runtime.setMocks({
      call: (args) => args.inputs,
      newResource: ({ type, inputs }) => {
        console.log(JSON.stringify({ type, provider: inputs.__provider }));
        return { id: "id", state: inputs };
      },
    });
    const { ${className} } = await import(${JSON.stringify(module)});
    new ${className}(${JSON.stringify(name)}, ${JSON.stringify(args)});`;
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" }));
}
