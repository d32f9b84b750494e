const units = ["B", "kB", "MB", "GB", "TB"];

/** A size for people, in decimal units, as registries and download pages count. */
export function formatBytes(bytes: number): string {
  let power = 0;
  // Compared as it will be written: 999,950 bytes are not 1000.0 kB.
  while (power < units.length - 1 && Number((bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)) >= 1000) {
    power++;
  }
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
