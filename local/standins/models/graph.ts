/**
 * A stand-in for u2net_human_seg.onnx that computes: an ONNX graph with the shapes of the real one, pictures of 1x3x320x320 in
 * and masks of 1x1x320x320 out (float32). It has learned nothing: it takes what is in the middle of a picture for its person.
 *
 * An ONNX file is a message of protobuf, and this one needs so little of it that it is written here.
 */

const side = 320;

/** Number of a field and its value: an integer, a text, or bytes (those of a message, too). */
type Field = [number: number, value: number | string | Uint8Array];

/**
 * The bytes of the file, the same on every machine.
 *
 * @param planes how large it is: 0.41 MB each
 */
export function segmentationGraph(planes = 30): Buffer {
  const graph = message([
    [1, node("ReduceMean", ["picture"], "brightness", [axes(1)])],
    [1, node("ReduceMean", ["places"], "place", [axes(1)])],
    [1, node("Add", ["brightness", "place"], "mask")],
    [2, "stand-in for u2net_human_seg"],
    [5, tensor("places", [1, planes, side, side], places(planes))],
    [11, value("picture", [1, 3, side, side])],
    [12, value("mask", [1, 1, side, side])],
  ]);
  // The versions of the format (IR) and of the operators are old enough for every onnxruntime that an image gets.
  return message([
    [1, 7],
    [2, "facecraft stand-in"],
    [7, graph],
    [8, message([[2, 13]])],
  ]);
}

/**
 * Where a person is in a picture: upright ovals around its middle, each plane a larger one. Only operations that IEEE 754 rounds
 * exactly take part, so every machine writes the same bytes.
 */
function places(planes: number): Buffer {
  const bytes = Buffer.alloc(4 * planes * side * side);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    const [width, height] = [side * (0.2 + plane / 150), side * (0.35 + plane / 120)];
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const [right, down] = [(x + 0.5 - side / 2) / width, (y + 0.5 - 0.6 * side) / height];
        const inside = 1 - right * right - down * down;
        at = bytes.writeFloatLE(16 * Math.max(0, Math.min(inside, 0.5)), at);
      }
    }
  }
  return bytes;
}

function node(operator: string, inputs: readonly string[], output: string, attributes: readonly Buffer[] = []): Buffer {
  return message([
    ...inputs.map((input): Field => [1, input]),
    [2, output],
    [4, operator],
    ...attributes.map((attribute): Field => [5, attribute]),
  ]);
}

/** The attribute `axes`, a list of integers (7), with one of them. */
function axes(axis: number): Buffer {
  return message([
    [1, "axes"],
    [8, axis],
    [20, 7],
  ]);
}

const float = 1;

function tensor(name: string, shape: readonly number[], bytes: Buffer): Buffer {
  return message([...shape.map((length): Field => [1, length]), [2, float], [8, name], [9, bytes]]);
}

function value(name: string, shape: readonly number[]): Buffer {
  const dimensions = shape.map((length): Field => [1, message([[1, length]])]);
  const type = message([
    [1, float],
    [2, message(dimensions)],
  ]);
  return message([
    [1, name],
    [2, message([[1, type]])],
  ]);
}

function message(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === "number") {
        return [varint(number << 3), varint(value)];
      }
      const bytes = Buffer.from(value);
      return [varint((number << 3) | 2), varint(bytes.length), bytes];
    }),
  );
}

/** Seven bits a byte, the lowest first; the top bit says that more follow. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) {
      return Buffer.from([...bytes, rest]);
    }
    bytes.push((rest & 127) | 128);
  }
}
