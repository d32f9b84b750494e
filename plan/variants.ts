/** The images that this project builds. A variant is a row here, and a Dockerfile of its own. */
export const variants = {
  cpu: {
    description: "Facecraft portrait processing, CPU build",
    dockerfile: "docker/Dockerfile.cpu",
    device: "cpu",
    torch: { index: "https://download.pytorch.org/whl/cpu", flavour: "cpu" },
    bases: { python: "PYTHON_IMAGE" },
    runtimeBase: "PYTHON_IMAGE",
    platforms: ["linux/amd64"],
  },
  gpu: {
    description: "Facecraft portrait processing, GPU build (CUDA 11.8)",
    dockerfile: "docker/Dockerfile.gpu",
    device: "cuda",
    torch: { index: "https://download.pytorch.org/whl/cu118", flavour: "cu118" },
    bases: { cudaRuntime: "CUDA_RUNTIME_IMAGE" },
    runtimeBase: "CUDA_RUNTIME_IMAGE",
    platforms: ["linux/amd64"],
  },
} as const satisfies Record<string, VariantDefinition>;

export interface VariantDefinition {
  /** The label `org.opencontainers.image.description`. */
  description: string;
  /** Path of its Dockerfile, relative to the program. */
  dockerfile: string;
  /** `FACECRAFT_DEVICE` in the image. */
  device: "cpu" | "cuda";
  /** Where torch comes from, and the local version (`2.0.1+<flavour>`) that the build insists on. */
  torch: { index: string; flavour: string };
  /** Config key under `baseImages` -> the Dockerfile's ARG. */
  bases: Readonly<Record<string, string>>;
  /** The ARG of the base that the published image stands on. */
  runtimeBase: string;
  /**
   * What it can be built for, and is where a stack does not choose. The builds insist on torch 2.0.1+cpu or 2.0.1+cu118, and the
   * indexes have a wheel of that name for no other platform.
   */
  platforms: readonly string[];
}

export type Variant = keyof typeof variants;

export const variantNames = Object.keys(variants) as Variant[];

/** Local version of the torch wheels of each variant, by its name. */
export const flavours = Object.fromEntries(variantNames.map((name) => [name, variants[name].torch.flavour]));

/** The keys under `baseImages`, of every variant. */
export type BaseName = { [Name in Variant]: keyof (typeof variants)[Name]["bases"] }[Variant];

export const baseNames = variantNames.flatMap((name) => Object.keys(variants[name].bases)) as BaseName[];
