/**
 * Which generation of its log a broker serves: part of event positions. Asked with a read by key that finds nothing.
 * A broker that does not know that request (Apache's) has no generations: 0.
 */
import { BrokerError } from '../base/errors.js';
import type { Session } from '../client/session.js';
import type { MessageQueue } from '../protocol/message.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';

/** Beyond the end of any log. */
const FROM_BEYOND = Number.MAX_SAFE_INTEGER;

export async function logGenerationOf(session: Session, { topic, brokerName }: MessageQueue): Promise<number> {
  const address = session.routes.masterAddress(brokerName);
  if (address === undefined) return 0;
  try {
    const keys = [{ topic, key: 'foldlog:generation' }];
    const request = { keys, from: FROM_BEYOND, direction: 'forwards', maxCount: 1, maxBytes: 1 } as const;
    return (await session.brokerCalls.readByKey(address, request)).end.generation;
  } catch (thrown) {
    if (thrown instanceof BrokerError && thrown.responseCode === RESPONSE_CODE.REQUEST_CODE_NOT_SUPPORTED) return 0;
    throw thrown;
  }
}
