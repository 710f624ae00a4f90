/**
 * Cleaning that tools ask for: expired commit log files (329), queue files of removed records (306), queues of topics
 * that are not there any more (316). Upstream: `AdminBrokerProcessor`.
 *
 * Differs from RocketMQ: a queue all of whose records are gone keeps its last file, so that its offsets go on instead of
 * starting again at 0 behind the backs of its consumers.
 */
import type { Logger } from '../../base/logger.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { EVENT_PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { LMQ_PREFIX } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { Topics } from '../topics.js';

const DONE: ResponseFields = { code: RESPONSE_CODE.SUCCESS };

export interface AdminStoreParts {
  topics: Topics;
  offsets: ConsumerOffsets;
  store: Pick<MessageStore, 'deleteExpiredFiles' | 'deleteTopic' | 'queueRange' | 'queues' | 'readQueue'>;
  logger: Logger;
}

export function adminStoreRows({ topics, offsets, store, logger }: AdminStoreParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.DELETE_EXPIRED_COMMITLOG,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        // Answered when it is under way, as upstream: it may take minutes. It never rejects.
        void store.deleteExpiredFiles();
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.CLEAN_EXPIRED_CONSUMEQUEUE,
      header: emptyHeader,
      lane: 'admin',
      // Queue files follow the log's start whenever it moves: there is never any left to remove.
      handle: () => DONE,
    }),
    processor({
      code: REQUEST_CODE.CLEAN_UNUSED_TOPIC,
      header: emptyHeader,
      lane: 'admin',
      handle() {
        for (const topic of [...store.queues().keys()]) {
          if (topics.get(topic) || topics.isSystem(topic) || topic.startsWith(LMQ_PREFIX)) continue;
          if (beginsWithEvents(store, topic)) {
            logger.warn(
              { topic },
              'a topic without configuration holds events and is not cleaned: restore topics.json',
            );
            continue;
          }
          offsets.removeTopic(topic);
          store.deleteTopic(topic);
          logger.info({ topic }, 'the queues of a topic without configuration were removed');
        }
        return DONE;
      },
    }),
  ];
}

/** A lost topics.json makes event topics look unused: one record tells. */
function beginsWithEvents(store: Pick<MessageStore, 'queueRange' | 'queues' | 'readQueue'>, topic: string): boolean {
  return (store.queues().get(topic) ?? []).some((queueId) => {
    const { records } = store.readQueue(topic, queueId, store.queueRange(topic, queueId).minOffset, 1, 1);
    return records.some((record) => {
      const { properties } = decodeRecord(record, 0, { verifyCrc: false });
      return properties[EVENT_PROPERTY.STREAM_VERSION] !== undefined;
    });
  });
}
