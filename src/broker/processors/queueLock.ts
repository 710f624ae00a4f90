/** LOCK_BATCH_MQ 41 and UNLOCK_BATCH_MQ 42: who consumes a queue in order. Upstream: `AdminBrokerProcessor`. */
import { decodeLockBatchBody, encodeLockBatchResponseBody } from '../../protocol/bodies.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { QueueLocks } from '../queueLocks.js';

export function queueLockRows({ queueLocks }: { queueLocks: QueueLocks }): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.LOCK_BATCH_MQ,
      header: emptyHeader,
      lane: 'client',
      handle({ body }) {
        const { consumerGroup, clientId, mqSet } = decodeLockBatchBody(body);
        const lockOKMQSet = queueLocks.lock(consumerGroup, mqSet, clientId);
        return { code: RESPONSE_CODE.SUCCESS, body: encodeLockBatchResponseBody({ lockOKMQSet }) };
      },
    }),
    processor({
      code: REQUEST_CODE.UNLOCK_BATCH_MQ,
      header: emptyHeader,
      lane: 'client',
      handle({ body }) {
        const { consumerGroup, clientId, mqSet } = decodeLockBatchBody(body);
        queueLocks.unlock(consumerGroup, mqSet, clientId);
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
  ];
}
