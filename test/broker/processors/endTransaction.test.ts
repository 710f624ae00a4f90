import { describe, expect, it } from 'vitest';
import { endTransactionHeader } from '../../../src/protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { send, startTestBroker, temporaryDirectory } from '../../support/testBroker.js';
import { troubledFiles } from '../../support/troubledFiles.js';
import {
  all,
  COMMIT,
  end,
  HALF,
  type Half,
  prepare,
  prepared,
  ROLLBACK,
  settle,
} from '../transactions/transactionClient.js';

describe('END_TRANSACTION', () => {
  it('is refused, with the reason, when it is not about the half message that it names', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'plain' });
    const plain = (await all(one, 'T'))[0]!;
    const half = await prepared(one, { bornTimestamp: clock.now() });
    const cases: [Parameters<typeof end>[3], number, string][] = [
      [{ commitLogOffset: 999_999 }, RESPONSE_CODE.SYSTEM_ERROR, 'Find prepared transaction message failed'],
      [{ commitLogOffset: -1 }, RESPONSE_CODE.SYSTEM_ERROR, 'Find prepared transaction message failed'],
      [
        { commitLogOffset: half.commitLogOffset + 8 },
        RESPONSE_CODE.SYSTEM_ERROR,
        'Find prepared transaction message failed',
      ],
      [
        { commitLogOffset: plain.commitLogOffset },
        RESPONSE_CODE.SYSTEM_ERROR,
        'Find prepared transaction message failed',
      ],
      [{ producerGroup: 'Other' }, RESPONSE_CODE.SYSTEM_ERROR, 'The producer group wrong'],
      [{ tranStateTableOffset: 7 }, RESPONSE_CODE.SYSTEM_ERROR, 'The transaction state table offset wrong'],
      [{ transactionId: 'another' }, RESPONSE_CODE.SYSTEM_ERROR, 'The transaction id wrong'],
      [{ commitOrRollback: 4 }, RESPONSE_CODE.SYSTEM_ERROR, 'commitOrRollback 4 is neither'],
    ];
    for (const [changes, code, remark] of cases) {
      const response = await end(one, half, COMMIT, changes);
      expect(response.code, remark).toBe(code);
      expect(response.remark).toContain(remark);
    }
    expect(await all(one, 'T')).toHaveLength(1);
    // None of them ended it. Clients that name no transaction are believed.
    expect((await end(one, half, COMMIT, { transactionId: undefined })).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await all(one, 'T')).toHaveLength(2);
  });

  it('that is undecided changes nothing', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, { bornTimestamp: clock.now() });
    expect((await end(one, half, 0)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await all(one, 'T')).toEqual([]);
    expect((await end(one, half, COMMIT)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('past the time that the message asked for itself is left to the check', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const props = { CHECK_IMMUNITY_TIME_IN_SECONDS: '2' };
    const half = await prepared(one, { bornTimestamp: clock.now(), props });
    // Never less than transactionTimeOut.
    clock.advance(6001);
    const late = await end(one, half, COMMIT);
    expect(late).toMatchObject({ code: RESPONSE_CODE.ILLEGAL_OPERATION });
    expect((await end(one, half, COMMIT, { fromTransactionCheck: true })).code).toBe(RESPONSE_CODE.SUCCESS);
  });

  it('under SYNC_FLUSH is answered when its end is on the device, or says that it is not yet', async () => {
    const files = troubledFiles();
    const { client, clock } = await startTestBroker({ files, config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    const halves: Half[] = [];
    for (let count = 0; count < 2; count += 1) halves.push(await prepared(one, { bornTimestamp: clock.now() }));
    files.isSlow = true;
    const answers: number[] = [];
    const ends = [end(one, halves[0]!, COMMIT), end(one, halves[1]!, ROLLBACK)].map((response) =>
      response.then(({ code }) => void answers.push(code)),
    );
    await settle();
    expect(answers).toEqual([]);
    expect(await all(one, 'T')).toEqual([]);
    clock.advance(5000);
    await Promise.all(ends);
    expect(answers).toEqual([RESPONSE_CODE.FLUSH_DISK_TIMEOUT, RESPONSE_CODE.FLUSH_DISK_TIMEOUT]);
    files.release();
    await expect.poll(() => all(one, 'T')).toHaveLength(1);
    expect((await end(one, halves[0]!, COMMIT)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await end(one, halves[1]!, COMMIT)).remark).toContain('rolled back already');
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('on a full disk ends nothing, and does when there is room again', async () => {
    const files = troubledFiles();
    const { client, clock } = await startTestBroker({ files });
    const one = client();
    const halves: Half[] = [];
    for (let count = 0; count < 2; count += 1) halves.push(await prepared(one, { bornTimestamp: clock.now() }));
    files.writeError = 'ENOSPC';
    const full = await Promise.all([end(one, halves[0]!, COMMIT), end(one, halves[1]!, ROLLBACK)]);
    expect(full.map(({ code }) => code)).toEqual([
      RESPONSE_CODE.SERVICE_NOT_AVAILABLE,
      RESPONSE_CODE.SERVICE_NOT_AVAILABLE,
    ]);
    files.writeError = undefined;
    const again = await Promise.all([end(one, halves[0]!, COMMIT), end(one, halves[1]!, ROLLBACK)]);
    expect(again.map(({ code }) => code)).toEqual([0, 0]);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('of a half message sent with WAIT=false finds it: its answer waits until it is readable', async () => {
    const files = troubledFiles();
    const directory = temporaryDirectory();
    const config = { flushDiskType: 'SYNC_FLUSH' } as const;
    const { client } = await startTestBroker({ directory, files, config });
    files.isSlow = true;
    let isAnswered = false;
    const sent = prepare(client(), { props: { WAIT: 'false' } }).then((response) => {
      isAnswered = true;
      return response;
    });
    await settle();
    expect(isAnswered).toBe(false);
    files.release();
    expect((await sent).code).toBe(0);
    expect(await all(client(), HALF)).toHaveLength(1);
  });

  it('sent one-way is done without an answer', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, { bornTimestamp: clock.now() });
    await one.oneway(REQUEST_CODE.END_TRANSACTION, endTransactionHeader, {
      producerGroup: half.group,
      tranStateTableOffset: half.queueOffset,
      commitLogOffset: half.commitLogOffset,
      commitOrRollback: COMMIT,
      msgId: half.transactionId,
    });
    expect(await all(one, 'T')).toHaveLength(1);
  });
});
