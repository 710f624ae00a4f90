/**
 * What every guard must keep, whatever it marks effects with: claims in memory, SQLite, PostgreSQL, Redis and a Redis
 * Cluster, and rows of the effect's own transaction. A subject brings a way to run an effect, a way to let time pass
 * and a way to lose its process.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DuplicatesMet } from '../../src/idempotency/duplicatesMet.js';
import { type GuardedOutcome, RETRY_HORIZON_MILLIS } from '../../src/idempotency/idempotencyGuard.js';

export interface RunOptions {
  ttlMillis?: number;
}

export type RunEffect = <T>(
  group: string,
  key: string,
  effect: () => T | Promise<T>,
  options?: RunOptions,
) => Promise<GuardedOutcome<T>>;

export interface GuardSubject {
  run: RunEffect;
  pass(millis: number): Promise<void>;
  /** Another process with the same store. Absent where the marks die with the process. */
  reopen?(): Promise<RunEffect>;
  close(): Promise<void>;
}

export interface GuardContract {
  open(duplicates: DuplicatesMet): Promise<GuardSubject>;
}

const TTL_MILLIS = RETRY_HORIZON_MILLIS + 60_000;

export function describeGuard(name: string, contract: GuardContract): void {
  describe(`guard: ${name}`, () => {
    let subject: GuardSubject;
    let run: RunEffect;
    let keys = 0;
    const duplicates = new DuplicatesMet();
    const freshKey = () => `key ${++keys}{}%\0é\ud800`;

    beforeAll(async () => {
      subject = await contract.open(duplicates);
      run = subject.run;
    });
    afterAll(() => subject.close());

    it('runs an effect once; duplicates are answered with what it returned', async () => {
      const key = freshKey();
      let effects = 0;
      const result = { id: 7, text: 'a\0"é"\ud800', list: [null, 1.5, false] };
      const effect = async () => {
        effects++;
        return result;
      };
      expect(await run('mail', key, effect)).toEqual({ status: 'done', first: true, result });
      expect(await run('mail', key, effect)).toEqual({ status: 'duplicate', result });
      if (subject.reopen) run = await subject.reopen();
      expect(await run('mail', key, effect)).toEqual({ status: 'duplicate', result });
      expect(effects).toBe(1);
    });

    it.each([[undefined], [''], [0], [null]])('keeps the result %j as it is', async (result) => {
      const key = freshKey();
      expect(await run<unknown>('mail', key, () => result)).toMatchObject({ status: 'done' });
      expect(await run<unknown>('mail', key, () => 'again')).toEqual({ status: 'duplicate', result });
    });

    it('of another group or key is another effect', async () => {
      const [one, two] = [freshKey(), freshKey()];
      const ran: string[] = [];
      for (const [group, key] of [
        ['mail', one],
        ['mail', two],
        ['bill', one],
        ['mail', one],
        ['mail', `${one}\ud801`],
        ['mail', `${one}\ud802`],
        ['mail', `${one}\ufffd`],
        ['mail', 'x'.repeat(5_000)],
        ['mail', `${'x'.repeat(5_000)}y`],
      ] as const) {
        await run(group, key, () => void ran.push(`${group} ${key}`));
      }
      expect(ran).toHaveLength(8);
    });

    it('lets a failed effect be tried again, and rethrows what it threw', async () => {
      const key = freshKey();
      const failing = run('mail', key, () => {
        throw new Error('smtp is down');
      });
      await expect(failing).rejects.toThrow('smtp is down');
      const later = run('mail', key, async () => {
        throw new Error('still down');
      });
      await expect(later).rejects.toThrow('still down');
      expect(await run('mail', key, () => 'sent')).toMatchObject({ status: 'done', result: 'sent' });
      expect(await run('mail', key, () => 'again')).toEqual({ status: 'duplicate', result: 'sent' });
    });

    it('of many deliveries at once runs one; the others are busy or duplicates', async () => {
      const key = freshKey();
      let running = 0;
      let runs = 0;
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () =>
          run('mail', key, async () => {
            runs++;
            expect(++running).toBe(1);
            await new Promise((resolve) => setImmediate(resolve));
            running--;
          }),
        ),
      );
      expect(runs).toBe(1);
      const statuses = outcomes.map(({ status }) => status);
      expect(statuses.filter((status) => status === 'done')).toHaveLength(1);
      expect(statuses.filter((status) => status === 'busy' || status === 'duplicate')).toHaveLength(19);
    });

    it('forgets after the time to live, not before', async () => {
      const key = freshKey();
      await run('mail', key, () => 'one', { ttlMillis: TTL_MILLIS });
      await subject.pass(RETRY_HORIZON_MILLIS);
      expect(await run('mail', key, () => 'two')).toEqual({ status: 'duplicate', result: 'one' });
      await subject.pass(120_000);
      expect(await run('mail', key, () => 'two', { ttlMillis: TTL_MILLIS })).toMatchObject({ status: 'done' });
      expect(await run('mail', key, () => 'three')).toEqual({ status: 'duplicate', result: 'two' });
    });

    it('refuses times to live in which a message may still come again, and names that name nothing', async () => {
      const options = { ttlMillis: RETRY_HORIZON_MILLIS };
      await expect(run('mail', freshKey(), () => 1, options)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
      for (const [group, key] of [
        ['', 'key'],
        ['a:b', 'key'],
        ['mail', ''],
      ] as const) {
        await expect(run(group, key, () => 1)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
      }
    });

    it('says so when a result cannot be kept', async () => {
      const large = run('mail', freshKey(), () => 'é'.repeat(40_000));
      await expect(large).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        message: expect.stringContaining('has 80002 bytes as JSON, at most 65536 are kept'),
      });
      const cyclic: { self?: object } = {};
      cyclic.self = cyclic;
      await expect(run('mail', freshKey(), () => cyclic)).rejects.toThrow(/cannot be kept as JSON/);
      await expect(run('mail', freshKey(), () => () => {})).rejects.toThrow(/is a function/);
      const fits = 'x'.repeat(65_534);
      const key = freshKey();
      await run('mail', key, () => fits);
      expect(await run('mail', key, () => '')).toEqual({ status: 'duplicate', result: fits });
    });

    it('counts the duplicates that it met', async () => {
      const before = duplicates.countOf('counted');
      const key = freshKey();
      for (let times = 0; times < 3; times++) await run('counted', key, () => {});
      expect(duplicates.countOf('counted')).toBe(before + 2);
    });
  });
}
