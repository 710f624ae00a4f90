/**
 * Where a group's progress lives: at the broker for CLUSTERING, in a local file for BROADCASTING, where each consumer
 * has its own. `update` only remembers; `persist` writes. The file is Java's, so that a consumer can change language:
 *
 *     <directory>/<clientId>/<group>/offsets.json, and its predecessor with .bak behind
 *     {"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:2}}
 *
 * Upstream: `RemoteBrokerOffsetStore`, `LocalFileOffsetStore`.
 */
import { FoldlogError, messageOf, RemotingError } from '../base/errors.js';
import { type Files, joinPath } from '../base/files.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { decodeResetOffsetBody } from '../protocol/bodies.js';
import type { MessageQueue } from '../protocol/message.js';
import type { BrokerCalls } from './brokerCalls.js';
import type { OffsetStore } from './clientTypes.js';
import { compareQueues, queueKey } from './messageQueues.js';
import type { Routes } from './routes.js';

export class BrokerOffsetStore implements OffsetStore {
  readonly #group: string;
  readonly #calls: BrokerCalls;
  readonly #routes: Routes;
  readonly #logger: Logger;
  readonly #offsets = new Map<string, QueueOffset>();

  constructor(parts: { group: string; calls: BrokerCalls; routes: Routes; logger: Logger }) {
    this.#group = parts.group;
    this.#calls = parts.calls;
    this.#routes = parts.routes;
    this.#logger = parts.logger;
  }

  async load(queue: MessageQueue): Promise<QueueOffset | undefined> {
    return this.#calls.consumerOffset(this.#addressOf(queue), this.#group, queue);
  }

  update(queue: MessageQueue, offset: QueueOffset): void {
    this.#offsets.set(queueKey(queue), offset);
  }

  /** All of them each time, changed or not: a broker that lost its last seconds gets them again. */
  async persist(queues: readonly MessageQueue[]): Promise<void> {
    const answers = await Promise.allSettled(queues.map((queue) => this.#persist(queue)));
    const failed = answers.filter((answer) => answer.status === 'rejected');
    const [first] = failed;
    if (!first) return;
    this.#logger.warn(
      { group: this.#group, reason: messageOf(first.reason) },
      `offsets of ${failed.length} queues were not recorded, they are sent again`,
    );
  }

  async #persist(queue: MessageQueue): Promise<void> {
    const offset = this.#offsets.get(queueKey(queue));
    if (offset === undefined) return;
    await this.#calls.updateConsumerOffset(this.#addressOf(queue), this.#group, queue, offset);
  }

  forget(queue: MessageQueue): void {
    this.#offsets.delete(queueKey(queue));
  }

  #addressOf({ brokerName, topic }: MessageQueue): string {
    const address = this.#routes.masterAddress(brokerName);
    if (address !== undefined) return address;
    throw new RemotingError('CONNECT_FAILED', `no master of broker ${brokerName} is known`, { brokerName, topic });
  }
}

export class LocalOffsetStore implements OffsetStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #file: string;
  readonly #offsets = new Map<string, { queue: MessageQueue; offset: QueueOffset }>();
  /** What the file holds; nothing is written when nothing changed. */
  #written = '';

  private constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
    this.#file = joinPath(directory, 'offsets.json');
  }

  /** Reads the file, else its predecessor. Throws CORRUPTION when both are there and neither can be read. */
  static open(parts: { files: Files; directory: string; clientId: string; group: string }): LocalOffsetStore {
    const store = new LocalOffsetStore(parts.files, joinPath(parts.directory, parts.clientId, parts.group));
    store.#read();
    return store;
  }

  async load(queue: MessageQueue): Promise<QueueOffset | undefined> {
    return this.#offsets.get(queueKey(queue))?.offset;
  }

  update(queue: MessageQueue, offset: QueueOffset): void {
    this.#offsets.set(queueKey(queue), { queue, offset });
  }

  /** Writes one file with all offsets, first beside the old one, so that one of them is always whole. */
  async persist(): Promise<void> {
    const entries = [...this.#offsets.values()].map(({ queue, offset }) => [queue, offset] as const);
    const text = encodeOffsetFile(entries);
    if (text === this.#written) return;
    this.#files.makeDirectory(this.#directory);
    const fresh = `${this.#file}.tmp`;
    this.#files.writeFile(fresh, text);
    if (this.#files.stat(this.#file)) this.#files.rename(this.#file, `${this.#file}.bak`);
    this.#files.rename(fresh, this.#file);
    this.#files.syncDirectory(this.#directory);
    this.#written = text;
  }

  /** The file keeps the queue: it may come back, and nobody else consumes for this client. */
  forget(): void {}

  #read(): void {
    let cause: unknown;
    for (const file of [this.#file, `${this.#file}.bak`]) {
      if (!this.#files.stat(file)) continue;
      try {
        for (const [queue, offset] of decodeOffsetFile(this.#files.readFile(file))) this.update(queue, offset);
        return;
      } catch (thrown) {
        cause = thrown;
      }
    }
    if (cause !== undefined) {
      throw new FoldlogError(
        'CORRUPTION',
        `offsets in ${this.#file} cannot be read (${messageOf(cause)}): repair or remove the file`,
        { file: this.#file, cause },
      );
    }
  }
}

/** The pairs of an offset file; throws FRAME_INVALID when it is none. */
export function decodeOffsetFile(content: Buffer): [MessageQueue, QueueOffset][] {
  return decodeResetOffsetBody(content).offsetTable;
}

/** The text of an offset file, queues in order, laid out as Java's pretty printer does. */
export function encodeOffsetFile(offsets: readonly (readonly [MessageQueue, QueueOffset])[]): string {
  const sorted = [...offsets].sort(([left], [right]) => compareQueues(left, right));
  const items = sorted.map(
    ([{ brokerName, queueId, topic }, offset]) =>
      `{\n\t\t\t"brokerName":${JSON.stringify(brokerName)},\n\t\t\t"queueId":${queueId},\n\t\t\t"topic":${JSON.stringify(topic)}\n\t\t}:${offset}`,
  );
  return `{\n\t"offsetTable":{${items.join(',')}\n\t}\n}`;
}
