/** Says what a provider has to say of a resource: the engine shows it beside that. @param sentences without their full stops */
export function warn(sentences: readonly string[]): void {
  for (const sentence of sentences) {
    console.warn(`${sentence}.`);
  }
}
