/**
 * END_TRANSACTION 37: a producer commits a half message or rolls it back, by itself or because it was asked. Clients send
 * it one-way; whoever waits is answered when the end is in the log. Upstream: `EndTransactionProcessor`.
 *
 * Differs from RocketMQ: the record must be a half message and, where the request names a transaction, that one's (after a
 * power loss another may lie in its place); an undecided end (0) is answered when somebody waits; and
 * FLUSH_DISK_TIMEOUT is said where the commit is not on the device in time.
 */
import type { Clock } from '../../base/clock.js';
import type { HeaderOf } from '../../protocol/headers/headerFields.js';
import { endTransactionHeader } from '../../protocol/headers/messaging.js';
import { type StoredMessage, SYS_FLAG } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TRANS_HALF_TOPIC } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import { acceptedMillis } from '../transactions/checkBack.js';
import type { TransactionEnd, TransactionEnds } from '../transactions/transactionEnds.js';

export interface EndTransactionParts {
  store: Pick<MessageStore, 'readRecord'>;
  transactionEnds: Pick<TransactionEnds, 'end'>;
  clock: Clock;
  config: { transactionTimeOut: number };
}

type Header = HeaderOf<typeof endTransactionHeader.fields>;

/** commitOrRollback of a producer that does not know yet. */
const UNDECIDED = 0;
const ENDS: Readonly<Record<number, TransactionEnd>> = {
  [SYS_FLAG.TRANSACTION_COMMIT]: 'COMMITTED',
  [SYS_FLAG.TRANSACTION_ROLLBACK]: 'ROLLED_BACK',
};

export function endTransactionRows(parts: EndTransactionParts): ProcessorRow[] {
  const { store, transactionEnds, clock, config } = parts;
  return [
    processor({
      code: REQUEST_CODE.END_TRANSACTION,
      header: endTransactionHeader,
      lane: 'send',
      async handle({ header }) {
        const { commitOrRollback, fromTransactionCheck } = header;
        if (commitOrRollback === UNDECIDED) return { code: RESPONSE_CODE.SUCCESS };
        const end = ENDS[commitOrRollback];
        if (!end) return refuse(`commitOrRollback ${commitOrRollback} is neither 8 (commit), 12 (rollback) nor 0`);
        const half = halfAt(store, header.commitLogOffset);
        if (!half) return refuse('Find prepared transaction message failed');
        const acceptedFor = fromTransactionCheck ? undefined : acceptedMillis(half, config.transactionTimeOut);
        if (acceptedFor !== undefined && clock.now() - half.bornTimestamp > acceptedFor) {
          const code = RESPONSE_CODE.ILLEGAL_OPERATION;
          return {
            code,
            remark: 'Message commit fail because CHECK_IMMUNITY_TIME_IN_SECONDS is over: the broker asks',
          };
        }
        const defect = defectOf(half, header);
        if (defect !== undefined) return refuse(defect);
        const outcome = await transactionEnds.end(half, end);
        return outcome.status === 'DONE' ? { code: outcome.code } : { code: outcome.code, remark: outcome.remark };
      },
    }),
  ];
}

const refuse = (remark: string): ResponseFields => ({ code: RESPONSE_CODE.SYSTEM_ERROR, remark });

/** The half message at a place of the log; undefined when something else lies there, or nothing. */
function halfAt(store: Pick<MessageStore, 'readRecord'>, commitLogOffset: number): StoredMessage | undefined {
  const record = commitLogOffset >= 0 ? store.readRecord(commitLogOffset) : undefined;
  const message = record && decodeRecord(record, 0, { verifyCrc: false });
  return message?.topic === TRANS_HALF_TOPIC ? message : undefined;
}

/** Why the request is not about this half message. */
function defectOf({ properties, queueOffset, commitLogOffset }: StoredMessage, header: Header): string | undefined {
  if (properties[PROPERTY.PGROUP] !== header.producerGroup) return 'The producer group wrong';
  if (queueOffset !== header.tranStateTableOffset) return 'The transaction state table offset wrong';
  if (commitLogOffset !== header.commitLogOffset) return 'The commit log offset wrong';
  const { [PROPERTY.UNIQ_KEY]: uniqKey, [PROPERTY.TRANSACTION_ID]: transactionId } = properties;
  const named = header.transactionId ?? '';
  if (named !== '' && uniqKey !== undefined && named !== uniqKey && named !== transactionId) {
    return 'The transaction id wrong';
  }
  return undefined;
}
