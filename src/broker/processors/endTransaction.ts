/**
 * END_TRANSACTION 37 is refused, as half messages are: a client that ended a transaction here would believe in what
 * was never stored. Upstream: `EndTransactionProcessor`.
 */
import { endTransactionHeader } from '../../protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';

export function endTransactionRows(): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.END_TRANSACTION,
      header: endTransactionHeader,
      lane: 'send',
      handle: () => ({
        code: RESPONSE_CODE.NO_PERMISSION,
        remark: 'transactions are not available in this version: nothing was committed or rolled back',
      }),
    }),
  ];
}
