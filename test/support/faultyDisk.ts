/**
 * The disk below `faultyFiles.ts`: of each file what programs see and what lies on the device, of each directory the
 * names programs see and those that are durable. Costs what is written, not what is there: only sectors that differ from
 * the device are kept twice.
 *
 * What a power loss leaves of a sector is one of its states since the last sync: the page cache holds all writes so far
 * and may have written it out at any moment, each sector for itself. Truncations reach the device in their order.
 * A failed sync leaves sectors behind that programs see, that are not on the device, and that no later sync will
 * write unless they are written to again, because their pages count as clean.
 */
export const SECTOR = 512;
const ZEROS = Buffer.alloc(SECTOR);

type Change =
  | { kind: 'write'; sequence: number; at: number; bytes: Buffer; sizeAfter: number }
  | { kind: 'truncate'; sequence: number; sizeBefore: number; sizeAfter: number };

/** A file's content, whatever its names. */
export class Content {
  sizeBytes = 0;
  modifiedMillis = 0;
  #bytes: Buffer;
  /** Of sectors that may differ from the device: what lies there. */
  readonly #device = new Map<number, Buffer>();
  #deviceSize = 0;
  /** Since the last sync, in order, and the sectors they touched. */
  #changes: Change[] = [];
  #touched = new Set<number>();
  /** Sectors that a failed sync left behind: their state then, on which later writes build. */
  readonly #stranded = new Map<number, Buffer>();
  #sequence = 0;
  readonly blocks = new Set<number>();

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
    this.#deviceSize = bytes.length;
  }

  /** The same in all respects, for a machine that goes on. */
  clone(): Content {
    const copy = new Content(Buffer.from(this.#bytes.subarray(0, this.sizeBytes)));
    copy.modifiedMillis = this.modifiedMillis;
    copy.#deviceSize = this.#deviceSize;
    for (const [sector, image] of this.#device) copy.#device.set(sector, image);
    for (const [sector, image] of this.#stranded) copy.#stranded.set(sector, image);
    copy.#changes = [...this.#changes];
    copy.#touched = new Set(this.#touched);
    copy.#sequence = this.#sequence;
    return copy;
  }

  bytes(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.sizeBytes));
  }

  read(target: Buffer, targetAt: number, length: number, position: number): number {
    if (position >= this.sizeBytes) return 0;
    return this.#bytes.copy(target, targetAt, position, Math.min(this.sizeBytes, position + length));
  }

  write(source: Buffer, sourceAt: number, length: number, at: number): void {
    if (length === 0) return;
    const end = at + length;
    this.#touch(at, end);
    const bytes = Buffer.from(source.subarray(sourceAt, sourceAt + length));
    this.#grow(end);
    bytes.copy(this.#bytes, at);
    this.sizeBytes = Math.max(this.sizeBytes, end);
    this.#changes.push({ kind: 'write', sequence: this.#sequence++, at, bytes, sizeAfter: this.sizeBytes });
  }

  truncate(sizeAfter: number): void {
    const sizeBefore = this.sizeBytes;
    if (sizeAfter === sizeBefore) return;
    if (sizeAfter < sizeBefore) {
      this.#touch(sizeAfter, sizeBefore);
      this.#bytes.fill(0, sizeAfter, sizeBefore);
    } else this.#grow(sizeAfter);
    this.sizeBytes = sizeAfter;
    this.#changes.push({ kind: 'truncate', sequence: this.#sequence++, sizeBefore, sizeAfter });
  }

  /** What a sync that begins now makes durable; handed to {@link endSync}. */
  beginSync(): number {
    return this.#sequence;
  }

  endSync(until: number): void {
    const later = this.#changes.filter((change) => change.sequence >= until);
    const done = this.#changes.slice(0, this.#changes.length - later.length);
    if (done.length === 0) return;
    const touchedLater = touchedBy(later);
    for (const sector of touchedBy(done)) {
      if (touchedLater.has(sector)) this.#device.set(sector, this.#stateAfter(sector, done));
      else this.#device.delete(sector);
      this.#stranded.delete(sector);
    }
    this.#deviceSize = done.at(-1)?.sizeAfter ?? this.#deviceSize;
    this.#changes = later;
    this.#touched = touchedLater;
  }

  /** The device refused: some sectors are there, the others count as clean and are not. */
  failSync(random: () => number): void {
    const survival = random();
    for (const sector of this.#touched) {
      if (random() < survival) {
        this.#device.delete(sector);
        this.#stranded.delete(sector);
      } else this.#stranded.set(sector, this.#live(sector));
    }
    this.#deviceSize = this.sizeBytes;
    this.#changes = [];
    this.#touched.clear();
  }

  /** What programs find when the pages that a failed sync left behind were dropped from memory. */
  forgetStranded(): void {
    for (const sector of this.#stranded.keys()) {
      if (this.#touched.has(sector)) continue;
      this.#device.get(sector)?.copy(this.#bytes, sector * SECTOR, 0, this.#bytes.length - sector * SECTOR);
      this.#device.delete(sector);
      this.#stranded.delete(sector);
    }
  }

  /** What may be left of it on the device. */
  afterPowerLoss(random: () => number): Buffer {
    const survival = random() < 0.3 ? Math.round(random()) : random();
    const truncations = this.#changes.filter(({ kind }) => kind === 'truncate');
    const keptTruncations = truncations.slice(0, partOf(truncations.length, survival, random));
    const lastKept = keptTruncations.at(-1)?.sequence ?? -1;
    let sizeBytes = keptTruncations.at(-1)?.sizeAfter ?? this.#deviceSize;
    let reach = Math.max(this.#bytes.length, this.#deviceSize);
    for (const sector of this.#device.keys()) reach = Math.max(reach, (sector + 1) * SECTOR);
    const bytes = Buffer.alloc(reach);
    this.#bytes.copy(bytes);
    for (const sector of this.#device.keys()) {
      const changes = this.#changes.filter((change) => touches(change, sector));
      // Cut where truncations force it: a kept one and what came before it count, one that is lost and what came after do not.
      const least = changes.findLastIndex((change) => change.kind === 'truncate' && change.sequence <= lastKept) + 1;
      const lost = changes.findIndex((change) => change.kind === 'truncate' && change.sequence > lastKept);
      const most = lost < 0 ? changes.length : lost;
      const kept = changes.slice(0, least + partOf(Math.max(0, most - least), survival, random));
      this.#stateAfter(sector, kept).copy(bytes, sector * SECTOR, 0, Math.min(SECTOR, bytes.length - sector * SECTOR));
      for (const change of kept) {
        if (change.kind !== 'write' || change.sequence < lastKept) continue;
        sizeBytes = Math.max(sizeBytes, Math.min(change.at + change.bytes.length, (sector + 1) * SECTOR));
      }
    }
    return sizeBytes <= bytes.length
      ? bytes.subarray(0, sizeBytes)
      : Buffer.concat([bytes, Buffer.alloc(sizeBytes - bytes.length)]);
  }

  #stateAfter(sector: number, changes: readonly Change[]): Buffer {
    const start = sector * SECTOR;
    const base = changes.length > 0 ? this.#stranded.get(sector) : undefined;
    const state = Buffer.from(base ?? this.#device.get(sector) ?? this.#live(sector));
    for (const change of changes) {
      if (change.kind === 'write') {
        const from = Math.max(start, change.at);
        const to = Math.min(start + SECTOR, change.at + change.bytes.length);
        if (from < to) change.bytes.copy(state, from - start, from - change.at, to - change.at);
      } else if (change.sizeAfter < start + SECTOR && change.sizeAfter < change.sizeBefore) {
        state.fill(0, Math.max(0, change.sizeAfter - start), SECTOR);
      }
    }
    return state;
  }

  #live(sector: number): Buffer {
    const image = Buffer.alloc(SECTOR);
    this.#bytes.copy(image, 0, sector * SECTOR, Math.min(this.#bytes.length, (sector + 1) * SECTOR));
    return image;
  }

  #touch(from: number, to: number): void {
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector += 1) {
      if (!this.#device.has(sector)) {
        this.#device.set(sector, sector * SECTOR < this.#bytes.length ? this.#live(sector) : ZEROS);
      }
      this.#touched.add(sector);
    }
  }

  /** Bytes beyond the size are zero. */
  #grow(end: number): void {
    if (end <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(end, this.#bytes.length * 2));
    this.#bytes.copy(larger);
    this.#bytes = larger;
  }
}

/** How many of `count` steps in a row happened. */
function partOf(count: number, survival: number, random: () => number): number {
  if (count === 0 || survival === 0) return 0;
  if (survival === 1 || random() < survival) return count;
  return Math.floor(random() * (count + 1));
}

function touches(change: Change, sector: number): boolean {
  const start = sector * SECTOR;
  if (change.kind === 'write') return change.at < start + SECTOR && change.at + change.bytes.length > start;
  return change.sizeAfter < change.sizeBefore && change.sizeAfter < start + SECTOR && change.sizeBefore > start;
}

function touchedBy(changes: readonly Change[]): Set<number> {
  const touched = new Set<number>();
  for (const change of changes) {
    const from = change.kind === 'write' ? change.at : change.sizeAfter;
    const to = change.kind === 'write' ? change.at + change.bytes.length : change.sizeBefore;
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector += 1) touched.add(sector);
  }
  return touched;
}

export type Node = Content | Directory;

/** A rename between two directories survives in both or in neither. */
interface Move {
  counted: number;
}

interface NameChange {
  names: readonly (readonly [name: string, node: Node | undefined])[];
  move: Move | undefined;
}

/** Names as programs see them, and as they are durable: those of the last sync, and some of the changes since, in order. */
export class Directory {
  readonly names = new Map<string, Node>();
  readonly #durable = new Map<string, Node>();
  #changes: NameChange[] = [];

  set(name: string, node: Node | undefined): void {
    this.change([[name, node]], undefined);
  }

  change(names: NameChange['names'], move: Move | undefined): void {
    apply(this.names, names);
    this.#changes.push({ names, move });
  }

  /** A name that no crash can take. */
  setDurably(name: string, node: Node): void {
    this.names.set(name, node);
    this.#durable.set(name, node);
  }

  sync(): void {
    for (const { names } of this.#changes) apply(this.#durable, names);
    this.#changes = [];
  }

  /** Everything in it, for a machine that goes on. Contents with several names stay one. */
  clone(contents = new Map<Node, Node>()): Directory {
    const copy = new Directory();
    const copyOf = (node: Node): Node => {
      let found = contents.get(node);
      if (!found) {
        found = node instanceof Directory ? node.clone(contents) : node.clone();
        contents.set(node, found);
      }
      return found;
    };
    for (const [name, node] of this.names) copy.names.set(name, copyOf(node));
    for (const [name, node] of this.#durable) copy.#durable.set(name, copyOf(node));
    copy.#changes = this.#changes.map(({ names, move }) => ({
      names: names.map(([name, node]) => [name, node && copyOf(node)] as const),
      move,
    }));
    return copy;
  }

  /** What a machine finds after losing power. */
  afterPowerLoss(random: () => number): Directory {
    const kept = new Map<Directory, NameChange[]>();
    this.#choose(random, kept);
    return this.#rebuilt(random, kept, new Map());
  }

  #choose(random: () => number, kept: Map<Directory, NameChange[]>): void {
    if (kept.has(this)) return;
    const changes = this.#changes.slice(0, Math.floor(random() * (this.#changes.length + 1)));
    kept.set(this, changes);
    for (const { move } of changes) if (move) move.counted += 1;
    const below = [...this.#durable.values(), ...changes.flatMap(({ names }) => names.map(([, node]) => node))];
    for (const node of below) if (node instanceof Directory) node.#choose(random, kept);
  }

  #rebuilt(random: () => number, kept: Map<Directory, NameChange[]>, contents: Map<Content, Content>): Directory {
    const names = new Map(this.#durable);
    for (const change of kept.get(this) ?? []) if (!change.move || change.move.counted >= 2) apply(names, change.names);
    const after = new Directory();
    for (const [name, node] of names) {
      if (node instanceof Directory) after.setDurably(name, node.#rebuilt(random, kept, contents));
      else {
        const content = contents.get(node) ?? new Content(node.afterPowerLoss(random));
        content.modifiedMillis = node.modifiedMillis;
        contents.set(node, content);
        after.setDurably(name, content);
      }
    }
    return after;
  }

  /** Every content in it and below, with its path. */
  *contents(path: string): Generator<[path: string, content: Content]> {
    for (const [name, node] of this.names) {
      if (node instanceof Directory) yield* node.contents(`${path}/${name}`);
      else yield [`${path}/${name}`, node];
    }
  }
}

function apply(target: Map<string, Node>, names: NameChange['names']): void {
  for (const [name, node] of names) {
    if (node) target.set(name, node);
    else target.delete(name);
  }
}
