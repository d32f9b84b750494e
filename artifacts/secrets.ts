// Names that are given to secrets, and the forms of well-known tokens. Pins and digests are no secrets.
const secretName = /passw|secret|token|credential|private_?key|api_?key|access_?key|(^|_)auth(_|$)/i;
const tokenForms = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\bgh[pousr]_[A-Za-z0-9]{30,}\b/, // GitHub
  /\bgithub_pat_\w{20,}\b/,
  /\bglpat-[\w-]{20,}\b/, // GitLab
  /\b(AKIA|ASIA)[A-Z0-9]{16}\b/, // AWS
  /\bdckr_pat_[\w-]{20,}\b/, // Docker Hub
  /\bhf_[A-Za-z0-9]{30,}\b/, // Hugging Face
  /\bnpm_[A-Za-z0-9]{30,}\b/,
  /\bpul-[0-9a-f]{40}\b/, // Pulumi
  /\bpypi-[\w-]{40,}\b/,
  /\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}\b/, // JWT
];

/** Whether a name is one that secrets have, or a value has the form of a known token. */
export function looksSecret(name: string, value: string): boolean {
  return (secretName.test(name) && value !== "") || tokenForms.some((form) => form.test(value));
}
