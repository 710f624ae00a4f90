/**
 * PULL_MESSAGE 11 and LITE_PULL_MESSAGE 361: messages of one queue from an offset, filtered, or a wait for the next
 * one. Checks stand in upstream's order, because clients tell their cases apart by the first code that fits.
 * Upstream: `PullMessageProcessor`.
 *
 * Differs from RocketMQ: a subscription in the request whose SQL does not compile is refused (23); upstream answers
 * unfiltered messages. The bytes that a client asks for (maxMsgBytes) are kept.
 */
import { joined, readInt64 } from '../../base/bytes.js';
import type { QueueOffset } from '../../base/flavours.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { SubscriptionGroupConfig, TopicConfig } from '../../protocol/bodies.js';
import type { PullMessageHeader } from '../../protocol/headers/messaging.js';
import { PULL_SYS_FLAG, pullMessageHeader } from '../../protocol/headers/messaging.js';
import { SYS_FLAG } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { RECORD_AT } from '../../protocol/messageRecord.js';
import { isReadable, isRetryTopic } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import { isTagType } from '../../protocol/subscription.js';
import type { Peer, ProcessorRow, Request } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { ReadResult, ReadStatus } from '../../store/storeTypes.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { Served } from '../brokerStats.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerFilters } from '../consumerFilters.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { LongPolling, PullRun } from '../longPolling.js';
import type { SubscriptionFilter } from '../subscriptionFilter.js';
import { filterOfText } from '../subscriptionFilter.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

export interface PullMessageParts {
  identity: BrokerIdentity;
  topics: Topics;
  groups: SubscriptionGroups;
  clients: ConnectedClients;
  filters: ConsumerFilters;
  offsets: ConsumerOffsets;
  longPolling: LongPolling;
  store: Pick<MessageStore, 'queueRange' | 'readQueue' | 'visibleEnd'>;
  /** Messages that lie further from the log's end are read from the disk: fewer of them go into one answer. */
  recentBytes: number;
  /** What a pull was answered with. */
  onServed: (served: Served) => void;
  /** A pull was answered without a message. */
  onMissed: () => void;
  now: () => number;
  config: Pick<
    BrokerConfig,
    | 'brokerPermission'
    | 'enablePropertyFilter'
    | 'filterSupportRetry'
    | 'litePullMessageEnable'
    | 'longPollingEnable'
    | 'maxTransferBytesOnMessageInDisk'
    | 'maxTransferBytesOnMessageInMemory'
    | 'maxTransferCountOnMessageInDisk'
    | 'maxTransferCountOnMessageInMemory'
    | 'rejectPullConsumerEnable'
    | 'shortPollingTimeMills'
  >;
}

/** What a held pull costs beside its texts. */
const HELD_PULL_BYTES = 1024;
/** Compiled subscriptions of requests that bring their own. */
const FILTERS_MAX = 1000;
/** The wait that a client may ask for is cut off here. */
const SUSPEND_MAX_MILLIS = 600_000;

/** Codes of the store's answers; `offset ? MOVED : NOT_FOUND` is decided where it is used. */
const CODE_OF: Readonly<Record<Exclude<ReadStatus, 'NO_MESSAGE_IN_QUEUE'>, number>> = {
  FOUND: RESPONSE_CODE.SUCCESS,
  OFFSET_TOO_SMALL: RESPONSE_CODE.PULL_OFFSET_MOVED,
  OFFSET_OVERFLOW_ONE: RESPONSE_CODE.PULL_NOT_FOUND,
  OFFSET_OVERFLOW_BADLY: RESPONSE_CODE.PULL_OFFSET_MOVED,
  OFFSET_FOUND_NULL: RESPONSE_CODE.PULL_NOT_FOUND,
  NO_MATCHED_MESSAGE: RESPONSE_CODE.PULL_RETRY_IMMEDIATELY,
  MESSAGE_WAS_REMOVING: RESPONSE_CODE.PULL_RETRY_IMMEDIATELY,
};

/** Upstream: `ForbiddenType`. */
const FORBIDDEN = { BROKER: 1, GROUP: 2, TOPIC: 3, BROADCASTING: 4, SUBSCRIPTION: 5 } as const;

type Step<Value> = { value: Value } | { response: ResponseFields };

/** A pull that passed all checks. */
interface AdmittedPull {
  header: PullMessageHeader;
  topic: TopicConfig;
  group: SubscriptionGroupConfig;
  filter: SubscriptionFilter;
}

export function pullMessageRows(parts: PullMessageParts): ProcessorRow[] {
  const handler = new PullMessage(parts);
  const handle = (request: Request<PullMessageHeader>) => handler.pull(request);
  return [
    processor({ code: REQUEST_CODE.PULL_MESSAGE, header: pullMessageHeader, lane: 'pull', handle }),
    processor({ code: REQUEST_CODE.LITE_PULL_MESSAGE, header: pullMessageHeader, lane: 'litePull', handle }),
  ];
}

class PullMessage {
  readonly #parts: PullMessageParts;
  readonly #filters = new Map<string, SubscriptionFilter>();

  constructor(parts: PullMessageParts) {
    this.#parts = parts;
  }

  pull({ header, command, peer }: Request<PullMessageHeader>): ResponseFields | Promise<ResponseFields> {
    const admitted = this.#admit(header, command.code, peer);
    if ('response' in admitted) return admitted.response;
    const { offsets } = this.#parts;
    const { consumerGroup, topic, queueId } = header;
    const reset = offsets.takeReset(consumerGroup, topic, queueId);
    if (reset !== undefined) return this.#resetResponse(admitted.value, reset);
    if ((header.sysFlag & PULL_SYS_FLAG.COMMIT_OFFSET) !== 0 && header.commitOffset >= 0) {
      // What lies beyond the end is not recorded; the pull itself is answered.
      offsets.commit(consumerGroup, topic, queueId, header.commitOffset);
    }
    const run = this.#run(admitted.value, header.queueOffset);
    const isNew = run.outcome === 'nothing' && (header.sysFlag & PULL_SYS_FLAG.SUSPEND) !== 0;
    return (isNew ? this.#hold(admitted.value, peer) : undefined) ?? run.response();
  }

  /** Undefined: too many pulls are held, this one is answered now. */
  #hold(pull: AdmittedPull, peer: Peer): Promise<ResponseFields> | undefined {
    const { config, longPolling, offsets, topics } = this.#parts;
    const { consumerGroup, topic, queueId, queueOffset, suspendTimeoutMillis, subscription } = pull.header;
    const wanted = config.longPollingEnable ? suspendTimeoutMillis : config.shortPollingTimeMills;
    if (wanted <= 0) return undefined;
    return longPolling.hold({
      topic,
      queueId,
      offset: queueOffset,
      timeoutMillis: Math.min(wanted, SUSPEND_MAX_MILLIS),
      sizeBytes: HELD_PULL_BYTES + 2 * (subscription?.length ?? 0),
      peer,
      mayMatch: pull.filter.mayMatch,
      run: (offset) => {
        const final = (response: ResponseFields): PullRun => ({
          outcome: 'final',
          nextBeginOffset: offset,
          response: () => response,
        });
        if (!topics.get(topic)) return final(topicMissing(topic));
        const reset = offsets.takeReset(consumerGroup, topic, queueId);
        return reset === undefined ? this.#run(pull, offset) : final(this.#resetResponse(pull, reset));
      },
    });
  }

  #run(pull: AdmittedPull, offset: QueueOffset): PullRun {
    const { store, config, recentBytes } = this.#parts;
    const { topic, queueId, maxMsgNums, maxMsgBytes = Number.MAX_SAFE_INTEGER } = pull.header;
    const atMost = (wanted: number, limit: number) => Math.max(1, Math.min(wanted, limit));
    const maxCount = atMost(maxMsgNums, config.maxTransferCountOnMessageInMemory);
    const maxBytes = atMost(maxMsgBytes, config.maxTransferBytesOnMessageInMemory);
    const before = store.visibleEnd().commitLogOffset - recentBytes;
    const cold = before > 0 && {
      before,
      maxCount: atMost(maxMsgNums, config.maxTransferCountOnMessageInDisk),
      maxBytes: atMost(maxMsgBytes, config.maxTransferBytesOnMessageInDisk),
    };
    const read = store.readQueue(topic, queueId, offset, maxCount, maxBytes, pull.filter.readFilter, cold || undefined);
    const code = codeOf(read, offset);
    const outcome =
      code === RESPONSE_CODE.PULL_NOT_FOUND
        ? 'nothing'
        : read.status === 'NO_MATCHED_MESSAGE' && read.nextBeginOffset >= read.maxOffset
          ? 'passed'
          : 'final';
    return { outcome, nextBeginOffset: read.nextBeginOffset, response: () => this.#response(pull, read, code) };
  }

  #response(pull: AdmittedPull, read: ReadResult, code: number): ResponseFields {
    const { consumerGroup, topic, queueId } = pull.header;
    this.#parts.offsets.recordPull(consumerGroup, topic, queueId, read.nextBeginOffset);
    this.#count(pull, read);
    return {
      code,
      remark: read.status,
      extFields: responseFields(pull, read),
      ...(code === RESPONSE_CODE.SUCCESS && { body: joined(read.records, read.sizeBytes) }),
    };
  }

  #count({ header: { consumerGroup: group, topic } }: AdmittedPull, { records, sizeBytes }: ReadResult): void {
    const { store, now, onMissed, onServed } = this.#parts;
    const last = records.at(-1);
    if (!last) {
      onMissed();
      return;
    }
    onServed({
      group,
      topic,
      count: records.length,
      sizeBytes,
      behindBytes: store.visibleEnd().commitLogOffset - readInt64(last, RECORD_AT.COMMIT_LOG_OFFSET) - last.length,
      behindMillis: Math.max(0, now() - storeTimeOf(last)),
    });
  }

  #resetResponse(pull: AdmittedPull, offset: QueueOffset): ResponseFields {
    const { topic, queueId } = pull.header;
    const { minOffset, maxOffset } = this.#parts.store.queueRange(topic, queueId);
    return {
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      remark: 'OFFSET_RESET',
      extFields: responseFields(pull, { nextBeginOffset: offset, minOffset, maxOffset }),
    };
  }

  #admit(header: PullMessageHeader, code: number, peer: Peer): Step<AdmittedPull> {
    const { config, identity, groups, topics } = this.#parts;
    const { consumerGroup } = header;
    if (!isReadable(config.brokerPermission)) {
      return forbidden(FORBIDDEN.BROKER, `the broker[${identity.host}] pulling message is forbidden`);
    }
    if (code === REQUEST_CODE.LITE_PULL_MESSAGE && !config.litePullMessageEnable) {
      return stop(RESPONSE_CODE.NO_PERMISSION, `the broker[${identity.host}] for lite pull consumer is forbidden`);
    }
    const group = groups.find(consumerGroup);
    if (!group) {
      return stop(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group [${consumerGroup}] does not exist`);
    }
    if (!group.consumeEnable) {
      return forbidden(FORBIDDEN.GROUP, `subscription group no permission, ${consumerGroup}`);
    }
    const topic = topics.get(header.topic);
    if (!topic) return { response: topicMissing(header.topic) };
    if (!isReadable(topic.perm)) {
      return forbidden(FORBIDDEN.TOPIC, `the topic[${header.topic}] pulling message is forbidden`);
    }
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      return stop(
        RESPONSE_CODE.INVALID_PARAMETER,
        `queueId[${header.queueId}] is illegal, topic:[${header.topic}] ` +
          `topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[/${peer.address.host}:${peer.address.port}]`,
      );
    }
    const filter =
      (header.sysFlag & PULL_SYS_FLAG.SUBSCRIPTION) !== 0
        ? this.#filterOfRequest(header)
        : this.#filterOfGroup(header, group);
    return 'response' in filter ? filter : { value: { header, topic, group, filter: filter.value } };
  }

  #filterOfRequest(header: PullMessageHeader): Step<SubscriptionFilter> {
    const { config, clients } = this.#parts;
    const { expressionType, subscription = '*' } = header;
    const isTag = isTagType(expressionType);
    if (config.rejectPullConsumerEnable && !clients.consumerGroup(header.consumerGroup)) {
      return stop(RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist");
    }
    if (!isTag && !config.enablePropertyFilter) return SQL_REFUSED;
    const key = `${isTag ? '' : expressionType}\n${subscription}`;
    let filter = this.#filters.get(key);
    if (!filter) {
      filter = filterOfText(header.topic, subscription, expressionType);
      // A bounded cache, emptied when full: clients repeat a handful of texts.
      if (this.#filters.size >= FILTERS_MAX) this.#filters.clear();
      this.#filters.set(key, filter);
    }
    if (filter.defect !== undefined) {
      return stop(
        RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED,
        `parse the consumer's subscription failed: ${filter.defect}`,
      );
    }
    return { value: filter };
  }

  #filterOfGroup(header: PullMessageHeader, group: SubscriptionGroupConfig): Step<SubscriptionFilter> {
    const { clients, config, filters, groups } = this.#parts;
    const connected = clients.consumerGroup(header.consumerGroup);
    if (!connected) {
      return stop(RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist");
    }
    if (!group.consumeBroadcastEnable && connected.messageModel === 'BROADCASTING') {
      return forbidden(
        FORBIDDEN.BROADCASTING,
        `the consumer group[${header.consumerGroup}] can not consume by broadcast way`,
      );
    }
    if (groups.isForbidden(header.consumerGroup, header.topic)) {
      return forbidden(
        FORBIDDEN.SUBSCRIPTION,
        `the consumer group[${header.consumerGroup}] is forbidden for topic[${header.topic}]`,
      );
    }
    const subscription = connected.subscriptions.get(header.topic);
    if (!subscription) {
      return stop(RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist");
    }
    if (subscription.data.subVersion < header.subVersion) {
      return stop(RESPONSE_CODE.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest");
    }
    if (isTagType(subscription.data.expressionType)) {
      const isFiltered = config.filterSupportRetry && isRetryTopic(header.topic);
      return { value: isFiltered ? this.#filterOfRetries(header.consumerGroup) : subscription.filter };
    }
    if (!config.enablePropertyFilter) return SQL_REFUSED;
    const known = filters.find(header.consumerGroup, header.topic);
    if (!known) {
      return stop(
        RESPONSE_CODE.FILTER_DATA_NOT_EXIST,
        `The broker's consumer filter data is not exist! Your expression may be wrong: ${subscription.filter.defect}`,
      );
    }
    if (known.clientVersion < header.subVersion) {
      return stop(
        RESPONSE_CODE.FILTER_DATA_NOT_LATEST,
        `the consumer's filter data not latest: ${subscription.filter.defect ?? 'its heartbeat is awaited'}`,
      );
    }
    return { value: known.filter };
  }

  /** A message that comes again passes the expression of the topic that it came from. */
  #filterOfRetries(group: string): SubscriptionFilter {
    const { filters } = this.#parts;
    return {
      readFilter: {
        matchesProperties(properties) {
          const { [PROPERTY.RETRY_TOPIC]: topic } = properties;
          const known = topic === undefined ? undefined : filters.find(group, topic);
          return known?.filter.readFilter?.matchesProperties?.(properties) ?? true;
        },
      },
      mayMatch: () => true,
      defect: undefined,
    };
  }
}

function codeOf(read: ReadResult, offset: QueueOffset): number {
  if (read.status !== 'NO_MESSAGE_IN_QUEUE') return CODE_OF[read.status];
  return offset === 0 ? RESPONSE_CODE.PULL_NOT_FOUND : RESPONSE_CODE.PULL_OFFSET_MOVED;
}

function responseFields(
  { topic, group }: AdmittedPull,
  read: Pick<ReadResult, 'nextBeginOffset' | 'minOffset' | 'maxOffset'>,
): Record<string, string> {
  return {
    suggestWhichBrokerId: '0',
    nextBeginOffset: String(read.nextBeginOffset),
    minOffset: String(read.minOffset),
    maxOffset: String(read.maxOffset),
    topicSysFlag: String(topic.topicSysFlag),
    groupSysFlag: String(group.groupSysFlag),
  };
}

/** The store timestamp of a record stands behind its born host, which has 8 or 20 bytes. */
function storeTimeOf(record: Buffer): number {
  const isV6 = (record.readInt32BE(RECORD_AT.SYS_FLAG) & SYS_FLAG.BORN_HOST_V6) !== 0;
  return readInt64(record, RECORD_AT.BORN_HOST + (isV6 ? 20 : 8));
}

const stop = (code: number, remark: string): { response: ResponseFields } => ({ response: { code, remark } });

const forbidden = (type: number, remark: string): { response: ResponseFields } => ({
  response: { code: RESPONSE_CODE.NO_PERMISSION, remark, extFields: { forbiddenType: String(type) } },
});

const topicMissing = (topic: string): ResponseFields => ({
  code: RESPONSE_CODE.TOPIC_NOT_EXIST,
  remark: `topic[${topic}] not exist, apply first please!`,
});

const SQL_REFUSED = stop(RESPONSE_CODE.SYSTEM_ERROR, 'The broker does not support consumer to filter message by SQL92');
