import { mkdirSync, statfsSync } from "node:fs";

const gigabyte = 1e9;

/** How much of a disk is left to everything else: 15 GB, and of a small disk a part of it. */
const left = { most: 15 * gigabyte, ofDisk: 0.15 };

/** Of a file system, in bytes. */
export interface Space {
  /** All blocks, those of them that are set aside included. */
  total: number;
  /** Free blocks, those that are set aside included. */
  free: number;
  /** Free blocks that may be used. */
  available: number;
}

/**
 * The bounds of a BuildKit's cache, as lines of `[worker.oci]`: it may have the whole disk, but for what is left to
 * everything else. There is no other bound, because a cache that evicts what the next build needs costs minutes.
 *
 * BuildKit compares `minFreeSpace` with all free blocks, also with those that a file system sets aside for somebody else;
 * where there are such, it would clean up only after the disk is full. So they are added.
 *
 * @param folder the cache's own, which is made where it is not there yet
 */
export function cacheBounds(folder: string, space: Space = spaceOf(folder)): string[] {
  const setAside = space.free - space.available;
  const disk = space.total - setAside;
  const minFree = setAside + Math.min(left.most, left.ofDisk * disk);
  // What is evicted only by those who ask for it: one image with what it is built from.
  const reserved = Math.min(5 * gigabyte, 0.2 * disk);
  return [`reservedSpace = "${Math.round(reserved)}"`, `minFreeSpace = "${Math.round(minFree)}"`];
}

export function spaceOf(folder: string): Space {
  mkdirSync(folder, { recursive: true });
  const { blocks, bsize, bfree, bavail } = statfsSync(folder);
  return { total: bsize * blocks, free: bsize * bfree, available: bsize * bavail };
}
