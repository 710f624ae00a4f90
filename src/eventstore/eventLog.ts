/**
 * Guarded appends and reads by key, carried to an answer. All streams of one request lie on one broker: the one that a
 * topic's route names; a route with two writable brokers is refused.
 *
 * A lost connection, a timeout and FLUSH_DISK_TIMEOUT leave open whether the append is stored. It is then repeated
 * with the same append id, which is stored once however often it comes, until the broker answers or the time is up;
 * only then OUTCOME_UNKNOWN is thrown. Nothing is ever decided again before the outcome is known.
 */
import { BrokerError, FoldlogError, OptionsError, RemotingError } from '../base/errors.js';
import type { Session } from '../client/session.js';
import type {
  AppendEventsOutcome,
  AppendEventsRequest,
  EventLogPosition,
  ReadByKeyRequest,
} from '../protocol/headers/events.js';
import type { ReadEventsRequest } from '../protocol/headers/readEvents.js';
import type { MessageQueue, StoredMessage } from '../protocol/message.js';
import { decodeRecords } from '../protocol/messageRecord.js';
import { MASTER_ID } from '../protocol/names.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { Insistence, InsistOptions } from './insistence.js';

/** Longer than the broker's own wait for a sync (syncFlushTimeout, 5 s). */
const REQUEST_TIMEOUT_MILLIS = 8_000;

/** One page of records, and the end of the log up to which was read. */
export interface EventPage {
  brokerName: string;
  records: StoredMessage[];
  end: EventLogPosition;
  /** Where the next page goes on; undefined when there is no more. */
  next: number | undefined;
}

/** How long a read is repeated. */
export type LogReadOptions = Pick<InsistOptions, 'isEndless' | 'signal'>;

export class EventLog {
  readonly #session: Session;
  readonly #insistence: Insistence;
  /** The highest position seen of each broker's log, of its newest generation seen. */
  readonly #seen = new Map<string, EventLogPosition>();

  constructor(parts: { session: Session; insistence: Insistence }) {
    this.#session = parts.session;
    this.#insistence = parts.insistence;
  }

  /** The newest generation seen of the broker's log; 0 before anything was heard of it. */
  generationOf(brokerName: string): number {
    return this.#seen.get(brokerName)?.generation ?? 0;
  }

  /** A position that the log has reached: an append id made now cannot lie before it. */
  reachedOf(brokerName: string): EventLogPosition | undefined {
    return this.#seen.get(brokerName);
  }

  /** The one broker of these topics. */
  async brokerOf(topics: Iterable<string>): Promise<string> {
    let broker: { name: string; topic: string } | undefined;
    for (const topic of topics) {
      for (const { brokerName } of this.#knownQueues(topic) ?? (await this.#findQueues(topic))) {
        broker ??= { name: brokerName, topic };
        if (broker.name !== brokerName) {
          throw new OptionsError(
            `events of one append must lie on one broker, but ${broker.topic} is on ${broker.name} and ${topic} on ${brokerName}: an event topic has one writable broker`,
            { brokers: [broker.name, brokerName], topics: [broker.topic, topic] },
          );
        }
      }
    }
    if (!broker) throw new OptionsError('no topic is given');
    return broker.name;
  }

  #knownQueues(topic: string): readonly MessageQueue[] | undefined {
    const known = this.#session.routes.peek(topic)?.publishQueues;
    return known && known.length > 0 ? known : undefined;
  }

  #findQueues(topic: string): Promise<readonly MessageQueue[]> {
    return this.#insistence.insist(`finding topic ${topic}`, () => this.#session.routes.publishQueues(topic));
  }

  /** @throws FoldlogError OUTCOME_UNKNOWN when no answer came for too long */
  async append(brokerName: string, request: AppendEventsRequest): Promise<AppendEventsOutcome> {
    const topic = request.events[0]?.topic ?? '';
    const outcome = await this.#insist(
      `append ${request.appendId} in topic ${topic}`,
      topic,
      (address) => this.#session.brokerCalls.appendEvents(address, request, REQUEST_TIMEOUT_MILLIS),
      { brokerName, isAppend: true },
    );
    if ('places' in outcome) {
      const last = outcome.places.at(-1);
      if (last) this.#saw(brokerName, { commitLogOffset: last.commitLogOffset, generation: outcome.generation });
    }
    return outcome;
  }

  async read(brokerName: string, request: ReadByKeyRequest): Promise<EventPage> {
    const topic = request.keys[0]?.topic ?? '';
    const answer = await this.#insist(
      `read by key in topic ${topic}`,
      topic,
      (address) => this.#session.brokerCalls.readByKey(address, request, REQUEST_TIMEOUT_MILLIS),
      { brokerName },
    );
    if (request.until === undefined) this.#saw(brokerName, answer.end);
    return { brokerName, records: decodeRecords(answer.records), end: answer.end, next: answer.next };
  }

  /**
   * One page in the order of the log.
   *
   * @throws FoldlogError POSITION_LOST where the log has lost some of what is known of it; BrokerError from a broker
   * that is none of foldlog's
   */
  async readEvents(brokerName: string, request: ReadEventsRequest, options: LogReadOptions = {}): Promise<EventPage> {
    const { holdMillis = 0 } = request;
    const topic = request.topics[0] ?? request.keys[0]?.topic;
    const call = async () => {
      const address = this.#session.routes.masterAddress(brokerName) ?? (await this.#addressInCluster(brokerName));
      return this.#session.brokerCalls.readEvents(address, request, REQUEST_TIMEOUT_MILLIS + holdMillis);
    };
    const what = `reading events of ${topic === undefined ? '' : `topic ${topic} on `}broker ${brokerName}`;
    try {
      const answer = await this.#insistence.insist(what, call, {
        ...options,
        ...(topic !== undefined && { before: () => this.#session.routes.refreshSoon(topic) }),
      });
      if (request.until === undefined && request.untilTime === undefined) this.#saw(brokerName, answer.end);
      return { brokerName, records: decodeRecords(answer.records), end: answer.end, next: answer.next };
    } catch (thrown) {
      throw readFailure(thrown, brokerName);
    }
  }

  /** The broker whose log is "everything": the only one of the cluster, or the one that is named. */
  async brokerOfCluster(brokerName: string | undefined): Promise<string> {
    const names = await this.#insistence.insist('asking for the brokers', async () => [
      ...(await this.#masters()).keys(),
    ]);
    if (brokerName !== undefined && names.includes(brokerName)) return brokerName;
    const [only, ...others] = names;
    if (brokerName === undefined && only !== undefined && others.length === 0) return only;
    throw new OptionsError(
      brokerName === undefined
        ? `everything in log order is what one broker has, but there are ${names.length}: name one in \`brokerName\` (${names.join(', ')})`
        : `broker ${brokerName} is not in the cluster: it has ${names.join(', ')}`,
      { brokers: names },
    );
  }

  async #addressInCluster(brokerName: string): Promise<string> {
    const address = (await this.#masters()).get(brokerName);
    if (address !== undefined) return address;
    throw new RemotingError('CONNECT_FAILED', `no address of broker ${brokerName} is known: is it running?`, {
      brokerName,
    });
  }

  /** Broker name to address, in the order of names. Rejects when none is registered. */
  async #masters(): Promise<Map<string, string>> {
    const { brokerAddrTable } = await this.#session.nameServers.clusterInfo();
    const masters = new Map<string, string>();
    for (const brokerName of [...brokerAddrTable.keys()].sort()) {
      const address = brokerAddrTable.get(brokerName)?.brokerAddrs.get(MASTER_ID);
      if (address !== undefined) masters.set(brokerName, address);
    }
    if (masters.size > 0) return masters;
    throw new FoldlogError('TOPIC_NOT_FOUND', 'no broker is registered at the name server: start one', {
      retriable: true,
    });
  }

  /** Asks for the generation of the log that holds the topic; positions of consumed events carry it. */
  async learn(topic: string): Promise<void> {
    const brokerName = await this.brokerOf([topic]);
    const keys = [{ topic, key: 'foldlog:generation' }];
    await this.read(brokerName, {
      keys,
      from: Number.MAX_SAFE_INTEGER,
      direction: 'forwards',
      maxCount: 1,
      maxBytes: 1,
    });
  }

  #insist<T>(
    what: string,
    topic: string,
    call: (address: string) => Promise<T>,
    { brokerName, isAppend }: { brokerName: string; isAppend?: boolean },
  ): Promise<T> {
    return this.#insistence.insist(what, () => call(this.#addressOf(brokerName)), {
      isAppend,
      before: () => this.#session.routes.refreshSoon(topic),
    });
  }

  #addressOf(brokerName: string): string {
    const address = this.#session.routes.masterAddress(brokerName);
    if (address === undefined) {
      throw new RemotingError('CONNECT_FAILED', `no address of broker ${brokerName} is known: is it running?`, {
        brokerName,
      });
    }
    return address;
  }

  #saw(brokerName: string, position: EventLogPosition): void {
    const seen = this.#seen.get(brokerName);
    const isNewer =
      !seen ||
      position.generation > seen.generation ||
      (position.generation === seen.generation && position.commitLogOffset > seen.commitLogOffset);
    if (isNewer) this.#seen.set(brokerName, position);
  }
}

function readFailure(thrown: unknown, brokerName: string): unknown {
  if (!(thrown instanceof BrokerError)) return thrown;
  const { responseCode, remark } = thrown;
  if (responseCode === RESPONSE_CODE.POSITION_LOST) {
    return new FoldlogError(
      'POSITION_LOST',
      `broker ${brokerName} does not hold what was read before: ${remark}. Read again from the start, and throw away what was made of it`,
      { brokerName, cause: thrown },
    );
  }
  if (responseCode !== RESPONSE_CODE.REQUEST_CODE_NOT_SUPPORTED) return thrown;
  return new BrokerError(
    responseCode,
    remark,
    `broker ${brokerName} is no foldlog broker, or an older one: it cannot be read in the order of its log; consume the topic with a consumer or projection instead`,
    { brokerName, cause: thrown },
  );
}
