import { expect, test } from "vitest";
import { formatBytes } from "../../artifacts/text.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [999_949, "999.9 kB"],
  [999_950, "1.0 MB"],
  [376_637_898, "376.6 MB"],
  [1_610_612_736, "1.6 GB"],
  [3.2e12, "3.2 TB"],
  [5e15, "5000.0 TB"],
])("%d bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
