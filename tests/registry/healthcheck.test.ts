import { expect, test } from "vitest";
import { durationPattern, nanoseconds, seconds } from "../../registry/healthcheck.ts";

test.each([
  ["30s", 30],
  ["1m30s", 90],
  ["1h", 3600],
  ["0.1s", 0.1],
  [".5m", 30],
  ["1.s", 1],
  ["250ms", 0.25],
  ["1500us", 0.0015],
  ["1500µs", 0.0015],
  ["7ns", 7e-9],
  ["2h45m0.5s", 9900.5],
  ["0s", 0],
])("%s is %d seconds", (duration, expected) => {
  expect(duration).toMatch(durationPattern);
  expect(seconds(duration)).toBe(expected);
});

test.each(["", "30", "s", "30 s", "30S", "-1s", "1s2", ".s", "1d", "30s\n"])(
  "%j is no duration, and is named",
  (duration) => {
    expect(duration).not.toMatch(durationPattern);
    expect(() => nanoseconds(duration)).toThrow(`"${duration}" is no duration; it must be one such as 30s or 1m30s.`);
  },
);
