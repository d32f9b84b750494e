import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSbom, sbomOf } from "../../attest/sbom.ts";
import { paths } from "../../local/paths.ts";
import { knownPorts } from "../../local/ports.ts";
import { models } from "../../plan/models.ts";
import type { Contents } from "../../registry/contents.ts";
import { type ImageFacts, readFacts } from "../../registry/facts.ts";
import { sha256, Trial } from "./trial.ts";
import { wheel } from "./wheel.ts";

const own = wheel("own", "1.2", { "own/__init__.py": "" });

let trial: Trial;
let facts: ImageFacts;
let contents: Contents;
/** What the image's own programs say of its file system, by the name of the list. */
let told: (name: string) => string;
const folder = mkdtempSync(join(tmpdir(), "facecraft-contents-"));

/** For dpkg-query. */
const columns = ["db:Status-Status", "Package", "Version", "Architecture", "source:Package", "source:Version"]
  .map((column) => `$\{${column}}`)
  .join(" ");

/** Asks in the finished image, with programs that had no part in the list. */
const asking = String.raw`
FROM release AS asked
USER 0:0
RUN --network=none --mount=type=bind,from=builder,source=/opt/pip,target=/opt/pip <<'EOF'
set -eu
mkdir /told
dpkg-query --show --showformat '${columns}\n' > /told/debian
/opt/pip/bin/pip --python /venv/bin/python list --disable-pip-version-check --format=json > /told/python
for folder in /usr/lib/python3*/dist-packages /usr/local/lib/python3*/dist-packages /usr/local/lib/python3*/site-packages; do
  [ ! -d "$folder" ] || /opt/pip/bin/pip list --disable-pip-version-check --format=json --path "$folder" |
    sed "s|^|$folder |"
done > /told/base-python
find /venv/lib -maxdepth 3 -name '*.dist-info' -printf '%f\n' > /told/dist-info
for file in ${Object.values(models)
  .map(({ file }) => file)
  .join(" ")}; do sha256sum "$file"; stat --format=%s "$file"; done > /told/models
/venv/bin/python -c 'import sys; print(sys.version.split()[0])' > /told/python-version
. /etc/os-release
echo "$ID $VERSION_ID" > /told/os
EOF
FROM scratch AS told
COPY --from=asked /told /
`;

beforeAll(async () => {
  // The local registry is asked from this process, which nobody else has told whom to trust.
  setDefaultCACertificates([...getCACertificates("default"), readFileSync(join(paths.tls, "ca.pem"), "utf8")]);
  trial = await Trial.make();
  // Nothing here is about the application at work.
  trial.args.SMOKE_TEST = "0";
  trial.serve(`files/${own.file}`, own.bytes);
  const requirements = ["uvicorn", "numpy<2", "onnxruntime", "Pillow", "torch==2.0.1", "torchvision==0.15.2"];
  trial.write("requirements.txt", [...requirements, `own @ ${trial.url}/files/${own.file}`, ""].join("\n"));
  trial.serve("u2net?token=hunter3", "a u2net");
  trial.args.U2NET_URL = `${trial.url.replace("//", "//user:hunter2@")}/u2net?token=hunter3#part`;
  facts = await published("contents");
  contents = facts.contents as Contents;
  const edit = { "docker/Dockerfile.cpu": (text: string) => text + asking };
  expect(await trial.build({ target: "told", edit, output: `type=local,dest=${folder}` })).toSucceed();
  told = (name) => readFileSync(join(folder, name), "utf8").trim();
});
afterAll(() => {
  trial?.close();
  rmSync(folder, { recursive: true });
});

/** Builds and pushes, and says what the registry then has. */
async function published(tag: string): Promise<ImageFacts> {
  const name = `localhost:${knownPorts()?.registry}/tests/contents:${tag}`;
  expect(await trial.build({ output: `type=image,name=${name},push=true,oci-mediatypes=true` })).toSucceed();
  return readFacts(name);
}

const rowsOf = (text: string) => text.split("\n").map((line) => line.split(" "));

describe("what an image says that it is made of", () => {
  test("are the packages that dpkg has", () => {
    const rows = rowsOf(told("debian")).filter(([status]) => status === "installed");
    expect(rows.length).toBeGreaterThan(50);
    const expected = rows.map(([, name, version, architecture, source, sourceVersion]) => ({
      name,
      version,
      architecture,
      source: sourceVersion === version ? source : `${source} ${sourceVersion}`,
    }));
    expect(sorted(contents.debian)).toEqual(sorted(expected));
  });

  test("are the packages that pip has, and that lie there", () => {
    const expected = JSON.parse(told("python")).map(({ name, version }: Record<string, string>) => [
      key(name),
      version,
    ]);
    expect(contents.python.map(({ name, version }) => [name, version])).toEqual(expected.sort());
    const lying = told("dist-info")
      .split("\n")
      .map((name) => key(name.split("-")[0]));
    expect(contents.python.map(({ name }) => name)).toEqual(lying.sort());
  });

  test("with the sum of what pip has downloaded, and the index that it came from", () => {
    const row = (wanted: string) => contents.python.find(({ name }) => name === wanted);
    expect(row("own")).toEqual({
      name: "own",
      version: "1.2",
      index: "default",
      file: own.file,
      sha256: sha256(own.bytes),
    });
    expect(row("torch")).toMatchObject({ version: "2.0.1+cpu", index: "torch" });
    for (const { index, file, sha256 } of contents.python) {
      expect([index, file, sha256]).toEqual([
        expect.stringMatching(/^(default|torch)$/),
        expect.any(String),
        expect.stringMatching(/^[0-9a-f]{64}$/),
      ]);
    }
  });

  test("are the packages that the base has for its own Python, and which Python and distribution that is", () => {
    const expected = told("base-python")
      .split("\n")
      .filter(Boolean)
      .flatMap((line) => {
        const [folder = "", list = ""] = line.split(/ (.*)/);
        return JSON.parse(list).map(({ name, version }: Record<string, string>) => ({
          name: key(name),
          version,
          folder,
        }));
      });
    expect(sorted(contents.basePython)).toEqual(sorted(expected));
    expect(contents.interpreter.version).toBe(told("python-version"));
    expect(`${contents.distribution.id} ${contents.distribution.version}`).toBe(told("os"));
  });

  test("are the models, with where they were asked for, and no credential", () => {
    const lines = told("models").split("\n");
    const expected = Object.values(models).map(({ file, title }, index) => ({
      file,
      title,
      sha256: lines[2 * index]?.split(" ")[0],
      sizeBytes: Number(lines[2 * index + 1]),
      url: expect.stringMatching(new RegExp(`^${trial.url}/(shape_predictor|codeformer|u2net)$`)),
    }));
    expect(contents.models).toEqual(expected.sort((a, b) => (a.file < b.file ? -1 : 1)));
    expect(JSON.stringify(facts)).not.toContain("hunter");
  });

  test("is in no layer but the last one, so the others are the same from every mirror", async () => {
    trial.serve("mirror/u2net", "a u2net");
    const before = trial.args.U2NET_URL as string;
    trial.args.U2NET_URL = `${trial.url}/mirror/u2net`;
    trial.args.UNTOLD_SOURCES = models.codeformer.file;
    const other = await published("mirror");
    trial.args.U2NET_URL = before;
    delete trial.args.UNTOLD_SOURCES;
    const lower = ({ layers }: ImageFacts) => layers.slice(0, -2).map(({ digest }) => digest);
    expect(lower(other)).toEqual(lower(facts));
    const urls = other.contents?.models.map(({ file, url }) => [file, url]);
    expect(urls).toContainEqual([models.u2net.file, `${trial.url}/mirror/u2net`]);
    expect(urls).toContainEqual([models.codeformer.file, ""]);
  });
});

describe("the bill of materials of an image in a registry", () => {
  test("keeps to the schema, and is the same each time and by each name", async () => {
    const text = sbomOf(facts);
    expect(await checkSbom(text)).toEqual([]);
    const { repository, digest } = facts;
    expect(sbomOf(await readFacts(`${repository}:contents@${digest}`))).toBe(text);
    expect(sbomOf(await readFacts({ repository, digest }))).toBe(text);
  });

  test("has what dpkg and pip have, and nothing else", () => {
    const { components } = JSON.parse(sbomOf(facts)) as {
      components: { purl?: string; properties?: { name: string }[] }[];
    };
    const [id, version] = told("os").split(" ");
    const purls = components.map(({ purl = "" }) => decodeURIComponent(purl));
    const debian = rowsOf(told("debian")).filter(([status]) => status === "installed");
    const installed = debian.map(([, name, version]) => `pkg:deb/${id}/${name}@${version}`).sort();
    expect(
      purls
        .filter((purl) => purl.startsWith("pkg:deb/"))
        .map((purl) => purl.split("?")[0])
        .sort(),
    ).toEqual(installed);
    expect(purls.filter((purl) => purl.includes(`distro=${id}-${version}`))).toHaveLength(installed.length);
    const ofPip = JSON.parse(told("python")).map(
      (row: Record<string, string>) => `pkg:pypi/${key(row.name)}@${row.version}`,
    );
    const own = components.filter(({ properties = [] }) => properties.some(({ name }) => name === "facecraft:index"));
    expect(own.map(({ purl = "" }) => decodeURIComponent(purl))).toEqual(ofPip.sort());
  });
});

function key(name: string | undefined): string {
  return (name ?? "").replace(/[-_.]+/g, "-").toLowerCase();
}

function sorted<T>(rows: readonly T[]): T[] {
  return rows.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
}
