/**
 * The answer to a send that was stored. Every send has one, so what the table of `headerFields.ts` does row by row is
 * written out here for the fields that a producer looks at. A header that is not as JavaScript writes it goes through
 * the table, so both accept and refuse the same headers. Upstream: `MQClientAPIImpl.processSendResponse`.
 */
import type { SendMessageResponseHeader } from '../protocol/headers/messaging.js';
import { sendMessageResponseHeader } from '../protocol/headers/messaging.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { SendStatus } from './clientTypes.js';

const SEND_STATUS: Readonly<Record<number, SendStatus>> = {
  [RESPONSE_CODE.SUCCESS]: 'SEND_OK',
  [RESPONSE_CODE.FLUSH_DISK_TIMEOUT]: 'FLUSH_DISK_TIMEOUT',
  [RESPONSE_CODE.FLUSH_SLAVE_TIMEOUT]: 'FLUSH_SLAVE_TIMEOUT',
  [RESPONSE_CODE.SLAVE_NOT_AVAILABLE]: 'SLAVE_NOT_AVAILABLE',
};

export interface StoredSend
  extends Pick<SendMessageResponseHeader, 'msgId' | 'queueId' | 'queueOffset' | 'recallHandle'> {
  status: SendStatus;
}

/** Undefined: the response says that nothing was stored. */
export function sendStatusOf({ code }: RemotingCommand): SendStatus | undefined {
  return SEND_STATUS[code];
}

/** Throws FRAME_INVALID for a header that is none. */
export function storedSendOf(status: SendStatus, { extFields }: RemotingCommand): StoredSend {
  const { msgId, recallHandle } = extFields;
  const queueId = Number(extFields['queueId']);
  const queueOffset = Number(extFields['queueOffset']);
  if (
    msgId !== undefined &&
    (queueId | 0) === queueId &&
    String(queueId) === extFields['queueId'] &&
    Number.isSafeInteger(queueOffset) &&
    String(queueOffset) === extFields['queueOffset']
  ) {
    return { status, msgId, queueId, queueOffset, recallHandle };
  }
  return { status, ...sendMessageResponseHeader.decode(extFields) };
}
