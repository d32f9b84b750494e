import { expect, test } from "vitest";
import { keyFault } from "../../attest/keyReference.ts";

const id = "1234abcd-12ab-34cd-56ef-1234567890ab";

test.each([
  "cosign.key",
  "/secure/keys/our key.pem",
  "C:\\keys\\cosign.key",
  "env://COSIGN_KEY",
  `awskms:///${id}`,
  `awskms://localhost:4566/mrk-${id}`,
  `awskms:///arn:aws:kms:eu-central-1:123456789012:key/${id}`,
  "awskms:///alias/releases",
  "awskms:///arn:aws:kms:eu-central-1:123456789012:alias/releases",
  "gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k",
  "gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
  "azurekms://vault.vault.azure.net/key",
  "azurekms://vault.vault.azure.net/key/0123456789abcdef",
  "hashivault://releases",
  "openbao://releases",
  "k8s://releases/cosign",
])("a key can be %s", (key) => {
  expect(keyFault(key)).toBeUndefined();
});

test.each([
  ["", /^the path of a private key/],
  [" ", /^the path of a private key/],
  ["cosign\n.key", /^the path of a private key/],
  ["https://example.org/cosign.key", /or one of env:\/\/, awskms:\/\/, gcpkms/],
  ["env://", /^env:\/\/NAME/],
  ["env://A B", /^env:\/\/NAME/],
  ["awskms://key", /^awskms:\/\/\[ENDPOINT\]\/ID/],
  [`awskms://${id}`, /^awskms/],
  ["gcpkms://projects/p/cryptoKeys/k", /^gcpkms:\/\/projects\/PROJECT/],
  ["azurekms://key", /^azurekms:\/\/VAULT_HOST\/KEY/],
  ["hashivault://a/b", /^hashivault:\/\/KEY/],
  ["k8s://cosign", /^k8s:\/\/NAMESPACE\/SECRET/],
])("a key cannot be %j", (key, right) => {
  expect(keyFault(key)).toMatch(right);
});
