import { defineConfig } from "vitest/config";

const engine = ["tests/engine/**/*.test.ts", "tests/images/**/*.test.ts"];

export default defineConfig({
  test: {
    // Node runs the files as it runs the program: Pulumi stores functions of ModelChecksum, and a rewritten import() in them
    // could not be stored.
    experimental: { viteModuleRunner: false },
    projects: [
      {
        test: { name: "unit", include: ["tests/**/*.test.ts"], exclude: engine, testTimeout: 30_000 },
      },
      {
        // The real engine, builder and registry, which `make test` brings up; they build, so one file after the other.
        test: {
          name: "engine",
          include: engine,
          setupFiles: "tests/toSucceed.ts",
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
