/**
 * `config/timermetrics`: how many messages wait per real topic (upstream: `TimerMetrics`). Statistics: after a crash
 * they may be a little off, and nothing is decided by them. One line of JSON; the previous content stays as `.bak`.
 */
import type { Files } from '../../base/files.js';
import { parentOf } from '../../base/files.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { DataVersion } from '../../protocol/bodies.js';
import { readDataVersion } from '../../protocol/bodies.js';
import { JsonReader, readWhole } from '../../protocol/jsonReader.js';
import { parseLooseJson, writeFastJson } from '../../protocol/looseJson.js';

interface Metric {
  count: number;
  timeStamp: TimestampMillis;
}

export class TimerMetrics {
  readonly #files: Files;
  readonly #path: string;
  readonly #timing: Map<string, Metric>;
  #version: DataVersion;
  #isChanged = false;

  constructor({ files, path }: { files: Files; path: string }) {
    this.#files = files;
    this.#path = path;
    const loaded = load(files, path) ?? load(files, `${path}.bak`);
    this.#timing = new Map(loaded?.timing);
    this.#version = loaded?.version ?? { stateVersion: 0, timestamp: 0, counter: 0 };
  }

  countOf(topic: string): number {
    return this.#timing.get(topic)?.count ?? 0;
  }

  /** Messages that wait for all topics together. */
  get total(): number {
    let total = 0;
    for (const { count } of this.#timing.values()) total += count;
    return total;
  }

  /** `change` messages more wait for the topic. */
  add(topic: string, change: number, now: TimestampMillis): void {
    const count = Math.max(0, this.countOf(topic) + change);
    // A topic for which nothing waits takes no room.
    if (count === 0) this.#timing.delete(topic);
    else this.#timing.set(topic, { count, timeStamp: now });
    this.#version = { ...this.#version, timestamp: now, counter: this.#version.counter + 1 };
    this.#isChanged = true;
  }

  /** The file's text. */
  text(): string {
    return writeFastJson({ dataVersion: this.#version, timingCount: this.#timing });
  }

  /** Replaces the file when something changed. Throws system errors. */
  async save(): Promise<void> {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const files = this.#files;
    const text = Buffer.from(this.text());
    try {
      files.makeDirectory(parentOf(this.#path));
      const opened = files.open(`${this.#path}.tmp`, 'w+');
      try {
        opened.write(text, 0, text.length, 0);
        await opened.sync();
      } finally {
        opened.close();
      }
      if (files.stat(this.#path)) files.rename(this.#path, `${this.#path}.bak`);
      files.rename(`${this.#path}.tmp`, this.#path);
    } catch (error) {
      this.#isChanged = true;
      throw error;
    }
  }
}

/** What cannot be read counts as absent: the numbers grow true again as messages come and go. */
function load(files: Files, path: string): { timing: Map<string, Metric>; version: DataVersion } | undefined {
  if (!files.stat(path)) return undefined;
  try {
    const from = new JsonReader(parseLooseJson(files.readFile(path).toString()), 'timermetrics');
    return {
      version: from.read('dataVersion', readDataVersion, { stateVersion: 0, timestamp: 0, counter: 0 }),
      timing: from.table('timingCount', (value, where) => {
        const metric = new JsonReader(value, where);
        return { count: metric.read('count', readWhole, 0), timeStamp: metric.read('timeStamp', readWhole, 0) };
      }),
    };
  } catch {
    return undefined;
  }
}
