/**
 * A stored message on its way into the log once more, at another place: delayed and timer messages that fall due, half
 * messages, send-backs. Body, flags, times and both hosts stay the original's; what differs the caller says.
 */
import type { StoredMessage } from '../protocol/message.js';
import type { MessageProperties } from '../protocol/messageProperties.js';
import { packHost } from '../protocol/messageRecord.js';
import type { MessageToStore } from '../store/storeTypes.js';
import { joinProperties } from './propertiesText.js';

export function storedAgain(
  message: StoredMessage,
  { topic, queueId }: { topic: string; queueId: number },
  properties: MessageProperties,
): MessageToStore {
  return {
    topic,
    queueId,
    flag: message.flag,
    sysFlag: message.sysFlag,
    bornTimestamp: message.bornTimestamp,
    bornHost: packHost(message.bornHost),
    storeHost: packHost(message.storeHost),
    reconsumeTimes: message.reconsumeTimes,
    preparedTransactionOffset: 0,
    body: message.body,
    propertiesText: joinProperties(properties),
    properties,
  };
}
