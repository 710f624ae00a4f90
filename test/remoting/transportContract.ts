/**
 * What holds of every transport, with or without a socket. A subject opens a server with the given table and a
 * transport to it; the suite sees only `Transport` and `Peer`.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { defineHeader, optional } from '../../src/protocol/headers/headerFields.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { COMMAND_FLAG, requestCommand } from '../../src/protocol/remotingCommand.js';
import type { Peer, ProcessorRow } from '../../src/remoting/processor.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import type { Transport } from '../../src/remoting/transport.js';
import { ManualClock } from '../support/manualClock.js';

export interface ContractSubject {
  transport: Transport;
  address: string;
  /** Stops the server: every connection goes. */
  stopServer(): Promise<void>;
  close(): Promise<void>;
}

export interface ContractOptions {
  serverTable: ProcessorTable;
  clientTable: ProcessorTable;
  clock: ManualClock;
  maxInFlight: number;
}

export const CODE = { ECHO: 901, LATER: 902, NEVER: 903, FAIL: 904, PEER: 905, TWICE_BACK: 906, HUGE: 907 };

export function transportContract(name: string, open: (options: ContractOptions) => Promise<ContractSubject>): void {
  describe(`transport contract: ${name}`, () => {
    const opened: ContractSubject[] = [];
    afterEach(async () => {
      for (const subject of opened.splice(0)) await subject.close();
    });

    const header = defineHeader({ a: optional.string });
    const tableOf = (rows: readonly ProcessorRow[]) =>
      new ProcessorTable({ rows, lanes: { only: { maxInFlight: 100_000 } } });
    const row = (code: number, handle: ProcessorRow['handle']) => processor({ code, header, lane: 'only', handle });

    async function start(maxInFlight = 1000) {
      const clock = new ManualClock();
      const served: RemotingCommand[] = [];
      const peers: Peer[] = [];
      const notified: RemotingCommand[] = [];
      const serverTable = tableOf([
        row(CODE.ECHO, ({ command, body }) => {
          served.push(command);
          return { code: 0, remark: 'echo', extFields: command.extFields, body };
        }),
        row(CODE.LATER, async ({ command, body }) => {
          await new Promise((resolve) => setImmediate(resolve));
          return { code: 0, extFields: command.extFields, body };
        }),
        row(CODE.NEVER, ({ command }) => {
          served.push(command);
          return new Promise(() => {});
        }),
        row(CODE.FAIL, () => {
          throw new Error('broken');
        }),
        row(CODE.PEER, ({ peer }) => {
          peers.push(peer);
          return { code: 0 };
        }),
        row(CODE.TWICE_BACK, async ({ peer }) => {
          // The news goes out before the answer, on the same connection.
          peer.notify(requestCommand(CODE.ECHO, { a: 'news' }));
          const answer = await peer.invoke(requestCommand(CODE.ECHO, { a: 'asked' }, Buffer.from('q')), 1000);
          return { code: 0, body: Buffer.concat([answer.body, Buffer.from(String(answer.code))]) };
        }),
        row(CODE.HUGE, () => ({ code: 0, body: Buffer.alloc(16 * 1024 * 1024) })),
      ]);
      const clientTable = tableOf([
        row(CODE.ECHO, ({ command, body }) => {
          notified.push(command);
          return { code: 7, body };
        }),
      ]);
      const subject = await open({ serverTable, clientTable, clock, maxInFlight });
      opened.push(subject);
      const { transport, address } = subject;
      const call = (code: number, extFields: Record<string, string> = {}, body?: Buffer, timeoutMillis = 3000) =>
        transport.invoke(address, requestCommand(code, extFields, body), timeoutMillis);
      return { ...subject, clock, served, peers, notified, call };
    }

    it('answers with code, remark, fields and body of the handler', async () => {
      const { call, transport, address } = await start();
      expect(transport.isConnected(address)).toBe(false);
      const response = await call(CODE.ECHO, { a: 'ü"\u0001' }, Buffer.from('body'));
      expect(response).toMatchObject({ code: 0, remark: 'echo', extFields: { a: 'ü"\u0001' } });
      expect(response.body.toString()).toBe('body');
      expect(response.flag).toBe(COMMAND_FLAG.RESPONSE);
      expect(transport.isConnected(address)).toBe(true);
    });

    it('keeps many requests apart, answered at once or later', async () => {
      const { call } = await start();
      const answers = await Promise.all(
        Array.from({ length: 500 }, (_, index) =>
          call(index % 3 === 0 ? CODE.LATER : CODE.ECHO, { a: String(index) }, Buffer.from(`b${index}`)),
        ),
      );
      answers.forEach((answer, index) => {
        expect(answer.extFields['a']).toBe(String(index));
        expect(answer.body.toString()).toBe(`b${index}`);
      });
    });

    it('delivers in the order of sending, one-way requests among the others', async () => {
      const { call, transport, address, served } = await start();
      await call(CODE.ECHO, { a: 'first' });
      const sent = [];
      for (let index = 0; index < 50; index += 1) {
        if (index % 2) sent.push(transport.notify(address, requestCommand(CODE.ECHO, { a: String(index) })));
        else sent.push(call(CODE.ECHO, { a: String(index) }));
      }
      await Promise.all(sent);
      await call(CODE.ECHO, { a: 'last' });
      expect(served.map(({ extFields }) => extFields['a'])).toEqual([
        'first',
        ...Array.from({ length: 50 }, (_, index) => String(index)),
        'last',
      ]);
      expect(served[2]?.flag).toBe(COMMAND_FLAG.ONEWAY);
    });

    it('resolves with errors of the server as responses', async () => {
      const { call } = await start();
      expect(await call(CODE.FAIL)).toMatchObject({ code: 1, remark: 'broken' });
      expect(await call(9999)).toMatchObject({ code: 3, remark: ' request type 9999 not supported' });
    });

    it('does not let one end see what the other does to its buffers and fields', async () => {
      const { call, served, transport, address } = await start();
      await call(CODE.ECHO);
      const body = Buffer.from('before');
      const request = requestCommand(CODE.ECHO, { a: 'before' }, body);
      const answer = transport.invoke(address, request, 3000);
      body.write('AFTER!');
      request.extFields['a'] = 'after';
      const response = await answer;
      expect(response.body.toString()).toBe('before');
      expect(response.extFields['a']).toBe('before');
      response.body.write('XXXXXX');
      response.extFields['a'] = 'changed';
      expect(served[1]?.body.toString()).toBe('before');
      expect(served[1]?.extFields['a']).toBe('before');
      expect(request.flag).toBe(0);
    });

    it('never calls back within the call itself', async () => {
      const { call, served } = await start();
      await call(CODE.ECHO);
      const answer = call(CODE.ECHO);
      expect(served).toHaveLength(1);
      await answer;
      expect(served).toHaveLength(2);
    });

    it('lets the server ask and notify its client, news before the answer', async () => {
      const { call, notified } = await start();
      const response = await call(CODE.TWICE_BACK);
      expect(response.body.toString()).toBe('q7');
      expect(notified.map(({ extFields, flag }) => [extFields['a'], flag])).toEqual([
        ['news', COMMAND_FLAG.ONEWAY],
        ['asked', 0],
      ]);
    });

    it('gives the server one peer per client', async () => {
      const { call, peers } = await start();
      await call(CODE.PEER);
      await call(CODE.PEER);
      expect(peers[0]).toBe(peers[1]);
      expect(peers[0]?.isOpen).toBe(true);
      expect(peers[0]?.address.host).toBe('127.0.0.1');
      expect(peers[0]?.packedHost).toHaveLength(8);
    });

    it('fails with REQUEST_TIMEOUT when no answer comes in time, and not before', async () => {
      const { call, clock, served } = await start();
      let outcome: unknown;
      const answer = call(CODE.NEVER, {}, undefined, 1000).catch((error) => {
        outcome = error;
      });
      await expect.poll(() => served.length).toBe(1);
      await clock.advanceInSteps(999, 111);
      expect(outcome).toBeUndefined();
      await clock.advanceInSteps(200, 100);
      await answer;
      expect(outcome).toMatchObject({ code: 'REQUEST_TIMEOUT', mayHaveBeenExecuted: true });
    });

    it('refuses requests over the bound with TOO_BUSY and serves again after', async () => {
      const { call, clock, served } = await start(3);
      await call(CODE.ECHO);
      const waiting = [1, 2, 3].map(() => call(CODE.NEVER).catch((error) => error.code));
      await expect(call(CODE.ECHO)).rejects.toMatchObject({ code: 'TOO_BUSY', mayHaveBeenExecuted: false });
      await expect.poll(() => served.length).toBe(4);
      clock.advance(3200);
      expect(await Promise.all(waiting)).toEqual(Array(3).fill('REQUEST_TIMEOUT'));
      expect(await call(CODE.ECHO)).toMatchObject({ code: 0 });
    });

    it('fails what waits at once when the server goes, and tells the listeners once', async () => {
      const { call, peers, stopServer, transport, address, served } = await start();
      await call(CODE.PEER);
      const [peer] = peers;
      const closed: string[] = [];
      peer?.onClose(() => {
        throw new Error('a listener that fails');
      });
      peer?.onClose(() => closed.push('kept'));
      peer?.onClose(() => closed.push('forgotten'))();
      const waiting = call(CODE.NEVER).catch((error) => error);
      await expect.poll(() => served.length).toBe(1);
      await stopServer();
      expect(await waiting).toMatchObject({ code: 'CONNECTION_CLOSED', mayHaveBeenExecuted: true });
      expect(closed).toEqual(['kept']);
      expect(peer?.isOpen).toBe(false);
      expect(transport.isConnected(address)).toBe(false);
      peer?.onClose(() => closed.push('late'));
      expect(closed).toEqual(['kept', 'late']);
      // Nothing can be sent to it any more, and that is no crash.
      peer?.notify(requestCommand(CODE.ECHO));
      await expect(peer?.invoke(requestCommand(CODE.ECHO), 100)).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
      await expect(call(CODE.ECHO)).rejects.toMatchObject({ code: 'CONNECT_FAILED', mayHaveBeenExecuted: false });
      await expect(transport.notify(address, requestCommand(CODE.ECHO))).rejects.toMatchObject({
        code: 'CONNECT_FAILED',
      });
    });

    it('connects again after the server closed the connection', async () => {
      const { call, peers, transport, address } = await start();
      await call(CODE.PEER);
      peers[0]?.close();
      await expect.poll(() => transport.isConnected(address)).toBe(false);
      await call(CODE.PEER);
      expect(peers[1]).not.toBe(peers[0]);
      expect(peers[1]?.isOpen).toBe(true);
    });

    it('tells the server when the client closes, and then refuses work', async () => {
      const { call, peers, transport, address, served } = await start();
      await call(CODE.PEER);
      const gone = new Promise<void>((resolve) => peers[0]?.onClose(resolve));
      const waiting = call(CODE.NEVER).catch((error) => error);
      await expect.poll(() => served.length).toBe(1);
      await transport.close();
      expect(await waiting).toMatchObject({ code: 'CONNECTION_CLOSED' });
      await gone;
      await expect(call(CODE.ECHO)).rejects.toMatchObject({ code: 'LIFECYCLE' });
      await expect(transport.notify(address, requestCommand(CODE.ECHO))).rejects.toMatchObject({ code: 'LIFECYCLE' });
    });

    it('refuses a frame that no peer would take, before it is sent', async () => {
      const { call } = await start();
      await expect(call(CODE.ECHO, {}, Buffer.alloc(16 * 1024 * 1024))).rejects.toMatchObject({
        code: 'FRAME_INVALID',
      });
      expect(await call(CODE.ECHO)).toMatchObject({ code: 0 });
    });

    it('answers SYSTEM_ERROR when the answer does not fit into a frame', async () => {
      const { call } = await start();
      const answer = await call(CODE.HUGE);
      expect(answer.code).toBe(1);
      expect(answer.remark).toContain('too long');
    });

    it('carries a body of 10 MiB', async () => {
      const { call } = await start();
      const body = Buffer.alloc(10 * 1024 * 1024, 'foldlog');
      const answer = await call(CODE.ECHO, {}, body);
      expect(answer.body.equals(body)).toBe(true);
    });

    it('fails with CONNECT_FAILED where no server is', async () => {
      const { transport } = await start();
      await expect(transport.invoke('127.0.0.1:1', requestCommand(CODE.ECHO), 3000)).rejects.toMatchObject({
        code: 'CONNECT_FAILED',
      });
    });

    it('leaves no timer behind', async () => {
      const { call, clock, transport, stopServer } = await start();
      await call(CODE.ECHO);
      await transport.close();
      await stopServer();
      await expect.poll(() => clock.pendingCount).toBe(0);
    });
  });
}
