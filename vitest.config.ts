import { defineConfig } from "vitest/config";

const engine = ["tests/engine/**/*.test.ts", "tests/images/**/*.test.ts"];

export default defineConfig({
  test: {
    projects: [
      {
        test: { name: "unit", include: ["tests/**/*.test.ts"], exclude: engine, testTimeout: 30_000 },
      },
      {
        // The real engine, builder and registry, which `make test` brings up; they build, so one file after the other.
        test: {
          name: "engine",
          include: engine,
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
