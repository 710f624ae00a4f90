/**
 * Chance that can be repeated: a draw depends on the seed and on what it is drawn for, not on how many draws came
 * before. So one seed gives the same faults to the same messages, in whatever order they are met.
 */
export class Chance {
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** From 0 up to, and without, 1. */
  draw(what: string): number {
    // FNV-1a over the text, then mulberry32's mixing, so that neighbours in the text lie far apart.
    let hash = 0x811c9dc5 ^ this.seed;
    for (let at = 0; at < what.length; at++) hash = Math.imul(hash ^ what.charCodeAt(at), 0x01000193);
    let mixed = (hash + 0x6d2b79f5) | 0;
    mixed = Math.imul(mixed ^ (mixed >>> 15), 1 | mixed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from 0 up to, and without, `count`. */
  pick(what: string, count: number): number {
    return Math.floor(this.draw(what) * count);
  }
}

/** Another one each time, short enough to be typed. */
export function anySeed(): number {
  return Math.floor(Math.random() * 1_000_000_000);
}
