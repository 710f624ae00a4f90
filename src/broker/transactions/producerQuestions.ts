/**
 * CHECK_TRANSACTION_STATE 39: shows a half message to one live producer of its group, each time to the next one. One-way:
 * the answer comes as END_TRANSACTION. Nobody alive: a line in the log, and the next check asks again. Upstream:
 * `AbstractTransactionalMessageCheckListener.sendCheckMessage`, `ProducerManager.getAvailableChannel`.
 */
import type { Logger } from '../../base/logger.js';
import { checkTransactionStateHeader } from '../../protocol/headers/messaging.js';
import { encodeOffsetMsgId } from '../../protocol/messageId.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { COMMAND_FLAG, requestCommand } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import type { MessageToStore, StoredPlace } from '../../store/storeTypes.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConnectedClients } from '../connectedClients.js';
import { shownToProducer } from './halfMessages.js';

export interface ProducerQuestionsParts {
  identity: Pick<BrokerIdentity, 'brokerName' | 'storeHost'>;
  clients: Pick<ConnectedClients, 'producers'>;
  logger: Logger;
}

export class ProducerQuestions {
  readonly #parts: ProducerQuestionsParts;
  #asked = 0;

  constructor(parts: ProducerQuestionsParts) {
    this.#parts = parts;
  }

  /** @param copy the half message as it was put back at `place` */
  ask(copy: MessageToStore, place: StoredPlace, real: { topic: string; queueId: number }): void {
    const { identity, clients, logger } = this.#parts;
    const { [PROPERTY.PGROUP]: group = '', [PROPERTY.UNIQ_KEY]: uniqKey } = copy.properties;
    const live = clients.producers(group).filter(({ peer }) => peer.isOpen);
    const producer = live[this.#asked % Math.max(1, live.length)];
    if (!producer) {
      const facts = { group, topic: real.topic, transactionId: uniqKey };
      logger.warn(facts, 'no producer of the group is there to say what became of its transaction');
      return;
    }
    this.#asked += 1;
    const storeHost = copy.storeHost ?? identity.storeHost;
    const extFields = checkTransactionStateHeader.encode({
      tranStateTableOffset: place.queueOffset,
      commitLogOffset: place.commitLogOffset,
      msgId: uniqKey,
      transactionId: uniqKey,
      offsetMsgId: encodeOffsetMsgId(storeHost, place.commitLogOffset),
      topic: real.topic,
      bname: identity.brokerName,
    });
    const body = shownToProducer(copy, place, real, storeHost);
    const command = requestCommand(REQUEST_CODE.CHECK_TRANSACTION_STATE, extFields, body);
    command.flag = COMMAND_FLAG.ONEWAY;
    command.language = 'JAVA';
    producer.peer.notify(command);
  }
}
