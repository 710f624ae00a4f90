/**
 * QUERY_ASSIGNMENT 400: for clients that let the broker spread the queues. The answer covers the queues of all brokers
 * of the topic, as the name server knows them; without a name server, this broker's. All are consumed by PULL.
 * Upstream: `QueryAssignmentProcessor`.
 */

import { emptyHeader } from '../../protocol/headers/messaging.js';
import { JsonReader } from '../../protocol/jsonReader.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import type { MessageQueue } from '../../protocol/message.js';
import { isReadable } from '../../protocol/names.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { Registration } from '../registration.js';
import type { Topics } from '../topics.js';

export interface AssignmentParts {
  identity: BrokerIdentity;
  topics: Topics;
  clients: ConnectedClients;
  registration: Pick<Registration, 'routeOf'>;
}

/** A share of the queues for member `index` of `count`. */
type Strategy = (queues: readonly MessageQueue[], index: number, count: number) => readonly MessageQueue[];

/** By upstream's names. */
const STRATEGIES: Readonly<Record<string, Strategy>> = {
  AVG(queues, index, count) {
    const rest = queues.length % count;
    const size = queues.length <= count ? 1 : Math.floor(queues.length / count) + (index < rest ? 1 : 0);
    const start = index < rest ? index * size : index * size + rest;
    return queues.slice(start, start + size);
  },
  AVG_BY_CIRCLE: (queues, index, count) => queues.filter((_, at) => at % count === index),
};

export function assignmentRows({ identity, topics, clients, registration }: AssignmentParts): ProcessorRow[] {
  async function queuesOf(topic: string): Promise<MessageQueue[]> {
    const route = await registration.routeOf(topic);
    const own = topics.get(topic);
    const shares = route?.queueDatas ?? (own ? [{ ...own, brokerName: identity.brokerName }] : []);
    const queues: MessageQueue[] = [];
    for (const { brokerName, readQueueNums, perm } of shares) {
      for (let queueId = 0; isReadable(perm) && queueId < readQueueNums; queueId += 1) {
        queues.push({ topic, brokerName, queueId });
      }
    }
    return queues.sort((a, b) =>
      a.brokerName === b.brokerName ? a.queueId - b.queueId : a.brokerName < b.brokerName ? -1 : 1,
    );
  }

  return [
    processor({
      code: REQUEST_CODE.QUERY_ASSIGNMENT,
      header: emptyHeader,
      lane: 'loadBalance',
      async handle({ body }) {
        const from = JsonReader.ofBody(body, 'assignment request');
        const topic = from.text('topic');
        const strategyName = from.text('strategyName', 'AVG');
        const strategy = Object.hasOwn(STRATEGIES, strategyName) ? STRATEGIES[strategyName] : undefined;
        if (!strategy) {
          const known = Object.keys(STRATEGIES).join(', ');
          return {
            code: RESPONSE_CODE.SYSTEM_ERROR,
            remark: `unknown strategyName ${strategyName}: use one of ${known}`,
          };
        }
        const members = clients.clientIds(from.text('consumerGroup')).sort();
        const index = members.indexOf(from.text('clientId'));
        if (members.length === 0) return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from('{}') };
        const queues = await queuesOf(topic);
        const isShared = from.text('messageModel', 'CLUSTERING') !== 'BROADCASTING';
        const share = !isShared ? queues : index < 0 ? [] : strategy(queues, index, members.length);
        const messageQueueAssignments = share.map((messageQueue) => ({ messageQueue, mode: 'PULL', attachments: {} }));
        return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson({ messageQueueAssignments })) };
      },
    }),
  ];
}
