import { planBases } from "./bases.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./configReader.ts";
import { type Device, listDevices } from "./devices.ts";
import type { DockerfileFacts } from "./dockerfile.ts";
import { type GpuIdentity, identifyGpu } from "./gpuIdentity.ts";
import { info, type Remark, warn } from "./remark.ts";
import { variants } from "./variants.ts";

/** Whether an image is proven on a GPU, and if not, what a person should know of that. */
export type GpuPlan = { gpu: GpuIdentity; without?: undefined } | { gpu?: undefined; without: Remark };

/** What a GPU is called in the description of devices that NVIDIA's toolkit writes, and in the Dockerfile. */
const kind = "nvidia.com/gpu";
const wanted = `${kind}=all`;
const help = "docs/gpu.md says how a builder gets one";

/**
 * Decides whether the image is proven on a GPU: where the builder has one, if the stack leaves that open.
 *
 * @throws ConfigError where the stack requires it, and the builder has none, or nothing is known
 */
export async function planGpu(config: Config, dockerfile: DockerfileFacts): Promise<GpuPlan | undefined> {
  const { device, runtimeBase } = variants[config.variant];
  if (device === "cpu") {
    return undefined;
  }
  const proof = config.gpuProof;
  if (proof === "off") {
    return { without: info("facecraft:gpuProof is off: the image is not proven on a GPU.") };
  }
  const builder = config.builder === undefined ? "the builder" : `the builder "${config.builder}"`;
  const leave = (remark: typeof warn, reason: string): GpuPlan => {
    if (proof === "required") {
      throw new ConfigError([`facecraft:gpuProof is required, but ${reason}; ${help}.`]);
    }
    return { without: remark(`facecraft:gpuProof is auto, and ${reason}: the image is not proven on a GPU.`) };
  };
  const listed = await listDevices(config.builder);
  if ("unknown" in listed) {
    return leave(warn, `it is not known whether ${builder} has a GPU (${listed.unknown})`);
  }
  const missing = whatIsMissing(listed.devices);
  if (missing) {
    return leave(missing.remark, `${builder} ${missing.reason}`);
  }
  const frontend = dockerfile.args.get("DEVICE_FRONTEND") ?? "";
  const base = planBases(config, dockerfile)[runtimeBase] ?? "";
  const found = await identifyGpu({ builder: config.builder, node: listed.node, base, frontend });
  return "fault" in found
    ? leave(warn, `${builder} lists ${wanted}, but cannot say which GPU that is (${found.fault})`)
    : { gpu: found };
}

/** Why the devices of a builder are no GPU for a proof; undefined when one is. */
export function whatIsMissing(devices: readonly Device[]): { remark: typeof warn; reason: string } | undefined {
  const gpus = devices.filter(({ name }) => name === kind || name.startsWith(`${kind}=`));
  if (gpus.length === 0) {
    return { remark: info, reason: `lists no GPU (the device ${wanted})` };
  }
  const found = gpus.find(({ name }) => name === wanted || name === kind);
  if (found === undefined) {
    const names = gpus.map(({ name }) => name).join(", ");
    return { remark: warn, reason: `lists ${names}, but no ${wanted}` };
  }
  return found.allowed ? undefined : { remark: warn, reason: `has ${wanted}, but gives it to no build unasked` };
}
