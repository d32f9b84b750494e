// The bill of materials of an image: what its proof wrote down inside it, in the words of CycloneDX 1.6
// (https://cyclonedx.org/docs/1.6/json/). Nothing is added that the image does not say, so the same image has the same bytes.
import { createHash } from "node:crypto";
import { Enums, Models, Serialize, SPDX, Spec, Validation } from "@cyclonedx/cyclonedx-library";
import type { Contents } from "../registry/contents.ts";
import type { ImageFacts } from "../registry/facts.ts";
import { digestPattern, splitReference } from "../registry/references.ts";
import { AttestError } from "./errors.ts";
import { imagePurl, purl } from "./purl.ts";

const { Component, Property } = Models;
const { ComponentType, HashAlgorithm } = Enums;

/** Begins the names of the properties that only this project knows. */
export const ownProperties = "facecraft:";

/**
 * The bill of materials of an image: the image by digest, and in it the application by commit, the base, the packages of
 * Python and Debian, and the models.
 *
 * @returns JSON, the same bytes for the same image
 * @throws AttestError for an image that has no list of its contents, as those of earlier versions
 */
export function sbomOf(facts: ImageFacts): string {
  const { contents } = facts;
  if (contents === undefined) {
    throw new AttestError(
      `${facts.repository}@${facts.digest} has no list of its contents, because an earlier version of this project built it: ` +
        "build it again to get its bill of materials.",
    );
  }
  const parts = [
    applicationOf(facts),
    ...baseOf(facts),
    systemOf(contents),
    interpreterOf(contents),
    ...contents.python.map(pythonPackage),
    ...contents.basePython.map(basePythonPackage),
    ...contents.debian.map((row) => debianPackage(row, contents)),
    ...contents.models.map(modelOf),
  ];
  const image = imageOf(facts);
  for (const { bomRef } of parts) {
    image.dependencies.add(bomRef);
  }
  const bom = new Models.Bom({
    serialNumber: serialNumber(facts.digest),
    components: new Models.ComponentRepository(parts),
    metadata: new Models.Metadata({
      ...timestamp(facts.created),
      component: image,
      tools: new Models.Tools({
        components: new Models.ComponentRepository([new Component(ComponentType.Application, "facecraft-images")]),
      }),
    }),
  });
  // Everything comes sorted: the library would sort by the rules of the machine's language.
  const normalizers = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  return `${new Serialize.JsonSerializer(normalizers).serialize(bom, { sortLists: false, space: 1 })}\n`;
}

/**
 * Compares a bill of materials with the schema of CycloneDX 1.6.
 *
 * @returns what is wrong with it, each with where it is; empty for one that is right
 */
export async function checkSbom(text: string): Promise<string[]> {
  try {
    JSON.parse(text);
  } catch {
    return ["the whole: is no JSON"];
  }
  const found = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  if (found === null) {
    return [];
  }
  return (Array.isArray(found) ? found : [found]).map(({ instancePath = "", message }) =>
    `${instancePath || "the whole"}: ${message}`.trim(),
  );
}

/** By its digest and nothing else, so that a copy in another repository is the same. */
function imageOf({ digest, manifestDigest, platform, labels, record }: ImageFacts): Models.Component {
  const architecture = platform.split("/")[1] ?? "";
  const title = labels["org.opencontainers.image.title"] || "image";
  const image = new Component(ComponentType.Container, title, {
    purl: purl(["oci", title], digest, { arch: architecture }),
    ...optional("version", labels["org.opencontainers.image.version"]),
    ...optional("description", labels["org.opencontainers.image.description"]),
    hashes: sha256Of(digest.slice("sha256:".length)),
    properties: properties({
      platform,
      manifestDigest,
      torch: record.torch,
      cuda: record.cuda ?? "none",
      onnxruntime: record.onnxruntime ?? "",
    }),
  });
  return named(image);
}

function applicationOf({ labels }: ImageFacts): Models.Component {
  const label = (name: string) => labels[`org.opencontainers.image.${name}`] ?? "";
  const [source, revision, license] = [label("source"), label("revision"), label("licenses")];
  const [, owner, repository] = /^https:\/\/github\.com\/([^/]+)\/([^/]+?)(?:\.git)?$/.exec(source) ?? [];
  const isCommit = /^[0-9a-f]{40}$/.test(revision);
  const application = new Component(ComponentType.Application, label("title") || "application", {
    ...optional("version", revision),
    ...optional("publisher", label("vendor")),
    ...(owner && repository && isCommit && { purl: purl(["github", owner, repository], revision) }),
    ...(SPDX.isSupportedSpdxId(license) && {
      licenses: new Models.LicenseRepository([new Models.SpdxLicense(license)]),
    }),
    ...(source && { externalReferences: reference(source, Enums.ExternalReferenceType.VCS) }),
    properties: properties({ commit: revision, release: label("version") }),
  });
  application.bomRef.value = `application@${revision}`;
  return application;
}

/** None where the image does not say which one it is. */
function baseOf({ labels }: ImageFacts): Models.Component[] {
  const name = labels["org.opencontainers.image.base.name"] ?? "";
  const digest = labels["org.opencontainers.image.base.digest"] ?? "";
  if (name === "" || !digestPattern.test(digest)) {
    return [];
  }
  const { repository, tag = "" } = splitReference(name);
  const base = new Component(ComponentType.Container, repository, {
    version: tag || digest,
    purl: imagePurl(repository, digest, { tag }),
    hashes: sha256Of(digest.slice("sha256:".length)),
    properties: properties({ role: "base image" }),
  });
  return [named(base)];
}

function systemOf({ distribution: { id, version, title } }: Contents): Models.Component {
  const system = new Component(ComponentType.OperatingSystem, id, {
    ...optional("version", version),
    description: title,
  });
  system.bomRef.value = `system:${id}@${version}`;
  return system;
}

/** The name is the one by which databases of vulnerabilities know it. */
function interpreterOf({ interpreter: { version, file } }: Contents): Models.Component {
  const interpreter = new Component(ComponentType.Application, "python", {
    version,
    purl: purl(["generic", "python"], version),
    cpe: `cpe:2.3:a:python:python:${version.replace(/[^\w.]/g, "\\$&")}:*:*:*:*:*:*:*`,
    properties: properties({ file }),
  });
  return named(interpreter);
}

function pythonPackage({ name, version, index, file, sha256 }: Contents["python"][number]): Models.Component {
  const component = new Component(ComponentType.Library, name, {
    version,
    purl: purl(["pypi", name], version),
    ...(sha256 && { hashes: sha256Of(sha256) }),
    properties: properties({ index: index ?? "", file: file ?? "" }),
  });
  return named(component);
}

/** Where it lies tells it from a package of the application's environment. */
function basePythonPackage({ name, version, folder }: Contents["basePython"][number]): Models.Component {
  const component = new Component(ComponentType.Library, name, {
    version,
    purl: purl(["pypi", name], version),
    properties: properties({ folder }),
  });
  component.bomRef.value = `${folder}/${name}@${version}`;
  return component;
}

function debianPackage(
  { name, version, architecture, source }: Contents["debian"][number],
  { distribution: { id, version: release } }: Contents,
): Models.Component {
  // A scanner looks for a source package, and for its version where that is another.
  const [sourceName = "", sourceVersion] = source.split(" ");
  const upstream = sourceVersion ? `${sourceName}@${sourceVersion}` : sourceName === name ? "" : sourceName;
  const component = new Component(ComponentType.Library, name, {
    version,
    purl: purl(["deb", id, name], version, { arch: architecture, distro: release && `${id}-${release}`, upstream }),
    properties: properties({ source }),
  });
  return named(component);
}

function modelOf({ file, title, sha256, sizeBytes, url }: Contents["models"][number]): Models.Component {
  const model = new Component(ComponentType.MachineLearningModel, title, {
    hashes: sha256Of(sha256),
    ...(url && { externalReferences: reference(url, Enums.ExternalReferenceType.Distribution) }),
    properties: properties({ file, sizeBytes: String(sizeBytes) }),
  });
  model.bomRef.value = `model:${file}`;
  return model;
}

/** Lets a component be referred to by its purl. */
function named(component: Models.Component): Models.Component {
  if (component.purl !== undefined) {
    component.bomRef.value = component.purl;
  }
  return component;
}

/** Those without a value are left out. */
function properties(values: Record<string, string>): Models.PropertyRepository {
  const all = Object.entries(values).filter(([, value]) => value !== "");
  return new Models.PropertyRepository(all.map(([name, value]) => new Property(`${ownProperties}${name}`, value)));
}

function reference(url: string, type: Enums.ExternalReferenceType): Models.ExternalReferenceRepository {
  return new Models.ExternalReferenceRepository([new Models.ExternalReference(url, type)]);
}

function sha256Of(hex: string): Models.HashDictionary {
  return new Models.HashDictionary([[HashAlgorithm["SHA-256"], hex]]);
}

function optional<Key extends string>(key: Key, value: string | undefined): { [key in Key]?: string } {
  return value ? ({ [key]: value } as { [key in Key]: string }) : {};
}

/** The image's own date; there is no other. */
function timestamp(created: string): { timestamp?: Date } {
  const date = new Date(created);
  return Number.isNaN(date.getTime()) ? {} : { timestamp: date };
}

/** A UUID (version 8 of RFC 9562: of the maker's own choice) that follows from the image's digest. */
function serialNumber(digest: string): string {
  const bytes = createHash("sha256").update(`sbom of ${digest}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `urn:uuid:${hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`;
}
