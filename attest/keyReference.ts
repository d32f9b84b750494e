const uuid = "(mrk-)?[A-Fa-f0-9]{8}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{12}";
const arn = "arn:aws(-us-gov|-cn)?:kms:[a-z0-9-]+:\\d{12}:";

/** How cosign writes a key that is no file, by its scheme: what it must be, and an example. */
const forms: Readonly<Record<string, [RegExp, string]>> = {
  env: [/^[A-Za-z_]\w*$/, "env://NAME, the name of an environment variable that holds the private key"],
  awskms: [
    new RegExp(`^[^/]*/(${uuid}|${arn}key/${uuid}|(${arn})?alias/.+)$`),
    "awskms://[ENDPOINT]/ID, where ID is a key's id or ARN, or alias/NAME",
  ],
  gcpkms: [
    /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+(\/(cryptoKeyVersions|versions)\/[^/]+)?$/,
    "gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, perhaps with /cryptoKeyVersions/VERSION",
  ],
  azurekms: [/^[^/]+\/[^/]+(\/[a-z0-9]*)?$/, "azurekms://VAULT_HOST/KEY, perhaps with /VERSION"],
  hashivault: [/^\w([\w.-]*\w)?$/, "hashivault://KEY, the name of a key of the transit engine"],
  openbao: [/^\w([\w.-]*\w)?$/, "openbao://KEY, the name of a key of the transit engine"],
  k8s: [/^[^/]+\/[^/]+$/, "k8s://NAMESPACE/SECRET"],
};

/** What a reference to a private key must be, where it is something else; undefined for one that can be used. */
export function keyFault(key: string): string | undefined {
  const [, scheme, rest = ""] = /^([^:/]*):\/\/(.*)$/s.exec(key) ?? [];
  const form = scheme === undefined ? undefined : forms[scheme];
  if (form) {
    const [pattern, right] = form;
    return pattern.test(rest) ? undefined : right;
  }
  const isPath = scheme === undefined && /^[^\p{Cc}]*[^\p{Cc}\s][^\p{Cc}]*$/u.test(key);
  const known = Object.keys(forms).map((name) => `${name}://`);
  return isPath ? undefined : `the path of a private key that cosign has made, or one of ${known.join(", ")}`;
}
