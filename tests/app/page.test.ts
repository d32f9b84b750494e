import { readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../local/paths.ts";
import { browserPath, openBrowser, unseen } from "../chromium.ts";

const folder = join(root, "app/src/facecraft/static");
const picture = join(root, "docker/scripts/astronaut.png");
const pins = ["1", "2", "3"].map((digit) => digit.repeat(64));
const titles = ["Shape predictor", "CodeFormer", "u2net human segmentation"];

/** What the service says of its models: each loaded as its pin says, unless a test changes that. */
const about = (change: object = {}) => ({
  device: "cpu",
  largestBytes: 20e6,
  largestPixels: 25e6,
  models: titles.map((title, index) => {
    const sha256 = pins[index];
    return { title, file: `/app/models/${index}`, sizeBytes: 24e6, pin: sha256, sha256, error: null, ...change };
  }),
});

/** Stands in for the application: the page's files are the real ones, the answers are those of the test. */
let server: Server;
let address: string;
let told: object;
let answer: (response: ServerResponse, asked: number) => void;
let posts: string[];

let browser: Browser;
let page: Page;
let outside: string[];
let complaints: string[];

const portrait = (response: ServerResponse) =>
  response.setHeader("content-type", "image/png").end(readFileSync(picture));
const refusal = (status: number, detail: unknown) => (response: ServerResponse) => {
  response.statusCode = status;
  response.setHeader("content-type", "application/json").end(JSON.stringify({ detail }));
};

beforeAll(async () => {
  if (browserPath === undefined) {
    return;
  }
  const types: Record<string, string> = {
    html: "text/html",
    css: "text/css",
    js: "text/javascript",
    svg: "image/svg+xml",
  };
  server = createServer((request, response) => {
    const path = request.url === "/" ? "/static/index.html" : (request.url ?? "");
    if (request.method === "POST") {
      const parts: Buffer[] = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => answer(response, posts.push(`${path} ${Buffer.concat(parts).toString("latin1")}`)));
    } else if (path === "/api/v1/about") {
      response.setHeader("content-type", "application/json").end(JSON.stringify(told));
    } else if (path === "/favicon.ico") {
      response.writeHead(404).end();
    } else {
      response.setHeader("content-type", types[path.split(".").at(-1) ?? ""] ?? "text/plain");
      response.end(readFileSync(join(folder, path.replace("/static/", ""))));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

beforeEach(async () => {
  if (browserPath === undefined) {
    return;
  }
  told = about();
  answer = portrait;
  posts = [];
  outside = [];
  complaints = [];
  page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  page.on("request", (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith("blob:")) {
      outside.push(request.url());
    }
  });
  page.on("pageerror", (error) => complaints.push(error.message));
});
afterEach(async () => {
  await page?.close();
});

type Box = Awaited<ReturnType<ReturnType<Page["locator"]>["boundingBox"]>>;

const choose = (name = "me.png", bytes = readFileSync(picture)) =>
  page.getByLabel("Choose a picture").setInputFiles({ name, mimeType: "image/png", buffer: bytes });

describe.skipIf(browserPath === undefined)(`the page at /${unseen}`, () => {
  test("shows the portrait of a picture that was chosen, and asks nobody else", async () => {
    await page.goto(address);
    await choose();

    const shown = page.getByAltText("The portrait that was made of me.png");
    await shown.waitFor();
    expect(await shown.evaluate((image: unknown) => (image as { naturalWidth: number }).naturalWidth)).toBe(512);
    await page.getByAltText("Your picture me.png").waitFor();
    expect(await page.locator("#progress").textContent()).toMatch(/^Here is the portrait, after \d+\.\d s\.$/);
    expect(posts).toHaveLength(1);
    expect(posts[0]).toMatch(/^\/api\/v1\/process\/quick [\s\S]*name="file"; filename="me.png"/);

    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Save the portrait" }).click();
    expect((await download).suggestedFilename()).toBe("portrait.png");
    expect([...outside, ...complaints]).toEqual([]);
  });

  test("shows each model with its pin", async () => {
    await page.goto(address);
    await expect.poll(() => page.locator("#service").textContent()).toBe("Ready, on the CPU");
    const list = page.getByRole("listitem");
    expect(await list.count()).toBe(3);
    for (const [index, title] of titles.entries()) {
      const item = list.filter({ has: page.getByRole("heading", { name: title }) });
      expect(await item.textContent()).toContain(pins[index]);
      expect(await item.textContent()).toContain("its bytes are those of the pin");
    }
    expect(await page.locator("#limits").textContent()).toBe("JPEG, PNG or WebP, at most 20 MB and 25 megapixels");
  });

  test("says of models what is wrong with them, or not known", async () => {
    const cases: [object, string, string][] = [
      [{ sha256: null }, "Loading the models…", "Being loaded…"],
      [{ error: "/app/models/x: No such file" }, "Not ready: ", "/app/models/x: No such file."],
      [
        { sha256: "f".repeat(64) },
        "is not the file that its pin names",
        `others than those of the pin: ${"f".repeat(64)}`,
      ],
      [{ pin: null }, "Ready", "the service does not run in its image"],
    ];
    for (const [change, state, sentence] of cases) {
      told = about(change);
      await page.goto(address);
      await expect.poll(() => page.locator("#service").textContent()).toContain(state);
      expect(await page.getByRole("listitem").first().textContent()).toContain(sentence);
    }
  });

  test("sees by itself that the models have been loaded", async () => {
    told = about({ sha256: null });
    await page.goto(address);
    await expect.poll(() => page.locator("#service").textContent()).toBe("Loading the models…");
    told = about();
    await expect.poll(() => page.locator("#service").textContent(), { timeout: 5000 }).toBe("Ready, on the CPU");
  });

  test("says in a sentence what is wrong with a picture, and takes the next one", async () => {
    const cases: [(response: ServerResponse) => void, string][] = [
      [
        refusal(400, "no_face_detected"),
        "No face was found in this picture. Choose one in which a face is seen from the front.",
      ],
      [
        refusal(400, "the upload is not a picture that can be decoded"),
        "The upload is not a picture that can be decoded.",
      ],
      [refusal(413, "the picture has 9000x9000 pixels"), "The picture has 9000x9000 pixels."],
      [refusal(503, "loading"), "The models are still being loaded. Try again in a moment."],
      [refusal(422, [{ msg: "Field required" }]), "The service did not understand the request: Field required."],
      [(response) => response.writeHead(500).end("oops"), "The service failed (status 500). Its log says why."],
      [(response) => response.destroy(), "The service cannot be reached. See whether it still runs, and try again."],
    ];
    await page.goto(address);
    for (const [refuses, sentence] of cases) {
      answer = refuses;
      await choose();
      await expect.poll(() => page.getByRole("alert").textContent()).toBe(sentence);
      expect(await page.locator("#pictures").isVisible()).toBe(false);
    }
    answer = portrait;
    await choose();
    await page.getByAltText("The portrait that was made of me.png").waitFor();
    expect(await page.getByRole("alert").textContent()).toBe("");
  });

  test("does not send what the service would not take", async () => {
    told = { ...about(), largestBytes: 1e6 };
    await page.goto(address);
    await expect.poll(() => page.locator("#limits").textContent()).toContain("1 MB");
    await choose("large.png", Buffer.alloc(2e6));
    const alert = () => page.getByRole("alert").textContent();
    await expect.poll(alert).toBe("This file has 2 MB. The service takes at most 1 MB.");
    await choose("empty.png", Buffer.alloc(0));
    await expect.poll(alert).toBe("This file is empty.");
    expect(posts).toEqual([]);
  });

  test("shows the portrait of the picture that was chosen last, whatever is answered first", async () => {
    let late: ServerResponse | undefined;
    answer = (response, asked) => {
      if (asked > 1) {
        portrait(response);
      } else {
        late = response;
      }
    };
    await page.goto(address);
    await choose("first.png");
    await expect.poll(() => posts.length).toBe(1);
    await choose("second.png");
    await page.getByAltText("The portrait that was made of second.png").waitFor();
    refusal(400, "no_face_detected")(late as ServerResponse);
    await page.waitForTimeout(200);
    expect(await page.getByRole("alert").textContent()).toBe("");
    expect(await page.getByAltText("The portrait that was made of second.png").isVisible()).toBe(true);
  });

  test("is used with the keyboard alone", async () => {
    // The browser has to be told of it first, so this comes before the key.
    const chooser = page.waitForEvent("filechooser");
    await page.goto(address);
    await page.keyboard.press("Tab");
    expect(await page.evaluate("getComputedStyle(document.querySelector('#zone')).outlineStyle")).toBe("solid");
    await page.keyboard.press("Enter");
    await (await chooser).setFiles(picture);
    await page.getByAltText("The portrait that was made of astronaut.png").waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Save the portrait");
  });

  test("takes a picture that is dropped, and one that is pasted", async () => {
    await page.goto(address);
    const { x, y, width, height } = (await page.locator("#zone").boundingBox()) as NonNullable<Box>;
    const devtools = await page.context().newCDPSession(page);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      const data = { items: [], files: [picture], dragOperationsMask: 1 };
      await devtools.send("Input.dispatchDragEvent", { type, x: x + width / 2, y: y + height / 2, data });
    }
    await page.getByAltText("The portrait that was made of astronaut.png").waitFor();

    await page.evaluate(`(() => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([new Uint8Array(9)], "pasted.png", { type: "image/png" }));
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
    })()`);
    await page.getByAltText("The portrait that was made of pasted.png").waitFor();
    expect(page.url()).toBe(address);
  });

  test("makes a portrait without JavaScript, too", async () => {
    const plain = await browser.newPage({ javaScriptEnabled: false });
    await plain.goto(address);
    await plain.getByLabel("Choose a picture").setInputFiles(picture);
    await plain.getByRole("button", { name: "Make the portrait" }).click();
    await expect.poll(() => posts.length).toBe(1);
    expect(posts[0]).toContain('name="file"; filename="astronaut.png"');
    await plain.close();
  });

  for (const width of [360, 1400]) {
    test.each(["light", "dark"] as const)(
      `fits a window ${width} pixels wide and can be read, in %s colours`,
      async (colorScheme) => {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        await page.goto(address);
        await expect.poll(() => page.locator("#service").textContent()).toBe("Ready, on the CPU");
        await choose("a-rather-long-name-of-a-picture-that-somebody-has-taken-somewhere.png");
        await page.getByAltText(/^The portrait/).waitFor();
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
        expect(await page.evaluate(`(${faint})()`)).toEqual([]);
        expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe(
          colorScheme === "dark" ? "rgb(18, 21, 28)" : "rgb(244, 246, 250)",
        );
        if (process.env.SCREENSHOTS) {
          await page.screenshot({ path: join(process.env.SCREENSHOTS, `${width}-${colorScheme}.png`), fullPage: true });
        }
      },
    );
  }
});

/** Runs in the page: the texts whose contrast with what is behind them is below 4.5, as WCAG 2.2 AA asks for. */
const faint = `() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim() !== "") && one.checkVisibility())
    .map((one) => {
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
      return { text: one.textContent, contrast: (a + 0.05) / (b + 0.05) };
    })
    .filter(({ contrast }) => contrast < 4.5);
}`;
