// Stand-in for the plugin of @pulumi/random, for the one resource that this project uses: RandomId.
import "./endWithEngine.ts";
import { randomBytes } from "node:crypto";
import { main, type Provider } from "@pulumi/pulumi/provider/index.js";
import { packageVersion } from "../../versions.ts";

interface RandomId {
  byteLength: number;
  keepers?: Record<string, string>;
  prefix?: string;
}

const version = packageVersion("@pulumi/random");

const provider: Provider = {
  version,
  schema: JSON.stringify({ name: "random", version, resources: {} }),
  check: async (_urn, _olds, news: RandomId) => ({ inputs: news }),
  async diff(_id, _urn, olds: RandomId, news: RandomId) {
    const replaces = (["byteLength", "keepers", "prefix"] as const).filter(
      (key) => canonical(olds[key]) !== canonical(news[key]),
    );
    return { changes: replaces.length > 0, replaces };
  },
  async create(_urn, inputs: RandomId) {
    const bytes = randomBytes(inputs.byteLength);
    const id = bytes.toString("base64url");
    const prefix = inputs.prefix ?? "";
    const dec = BigInt(`0x${bytes.toString("hex")}`).toString();
    const outs = {
      ...inputs,
      b64Std: prefix + bytes.toString("base64"),
      b64Url: prefix + id,
      dec: prefix + dec,
      hex: prefix + bytes.toString("hex"),
    };
    return { id, outs };
  },
  read: async (id, _urn, props) => ({ id, props }),
  delete: async () => {},
};

// The engine hands maps over in any order.
function canonical(value: unknown): string {
  return value instanceof Object ? JSON.stringify(Object.entries(value).sort()) : JSON.stringify(value ?? null);
}

await main(provider, process.argv.slice(2));
