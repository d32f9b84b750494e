import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const engine = ["engine", "images", "long"].map((folder) => `tests/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    // Node runs the files as it runs the program: Pulumi stores functions of ModelChecksum, and a rewritten import() in them
    // could not be stored.
    // On two cores, Vitest would use one of them; and more than four builds at once need more memory than speed.
    maxWorkers: Math.min(4, Math.max(2, availableParallelism() - 1)),
    experimental: { viteModuleRunner: false },
    // What an administrator has put on this machine for everybody must not decide what a test sees.
    env: { FACECRAFT_SHARED_CACHE: "/nonexistent" },
    projects: [
      {
        test: { name: "unit", include: ["tests/**/*.test.ts"], exclude: engine, testTimeout: 30_000 },
      },
      {
        // The real engine, builder and registry, which `make test` brings up. Every file has a stack and a repository of its own.
        test: {
          name: "engine",
          include: engine,
          setupFiles: "tests/toSucceed.ts",
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
