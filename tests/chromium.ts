import { type Browser, chromium } from "playwright-core";
import { which } from "../local/exec.ts";

/** The browser of this machine that pages are looked at with. */
export const browserPath = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
  .map((name) => which(name))
  .find((path) => path !== undefined);

/** Why tests with a browser are left out, where there is none: for their names. */
export const unseen = browserPath === undefined ? " (left out: there is no Chromium on the PATH)" : "";

/** A browser without a window, which asks nobody on the network by itself. Close it. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: browserPath as string,
    // Its sandbox needs another user than root; what it opens here is our own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
  });
}
