/**
 * The machine-learning models inside every Facecraft image. A model is a row here; its upstream URL and its pin are
 * `ARG <arg>_URL` and `ARG <arg>_SHA256` in each Dockerfile.
 */
export const models = {
  shapePredictor: {
    title: "shape predictor",
    arg: "SHAPE_PREDICTOR",
    file: "/app/models/shape_predictor_68_face_landmarks.dat",
  },
  codeformer: {
    title: "CodeFormer",
    arg: "CODEFORMER",
    file: "/app/models/codeformer/codeformer.pth",
  },
  u2net: {
    title: "u2net human seg",
    arg: "U2NET",
    file: "/home/appuser/.u2net/u2net_human_seg.onnx",
  },
} as const satisfies Record<string, Model>;

export interface Model {
  /** How people call it, in messages and reports. */
  title: string;
  /** Prefix of its ARGs in the Dockerfiles. */
  arg: string;
  /** Absolute path of the (decompressed) file in the image. */
  file: string;
}

export type ModelName = keyof typeof models;

export const modelNames = Object.keys(models) as ModelName[];

/** Makes one thing of each model, under the model's name. */
export function forEachModel<T>(make: (name: ModelName) => T): Record<ModelName, T> {
  return Object.fromEntries(modelNames.map((name) => [name, make(name)])) as Record<ModelName, T>;
}
