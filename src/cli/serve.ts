/**
 * The life of a server command: start, one `ready` line, serve, stop. SIGTERM and SIGINT stop everything, in reverse
 * order of the start, within ten seconds; a second one ends the process at once. SIGUSR2 stops the halves that
 * `shutdown` asked for. The process ends when every half has stopped.
 */
import type { Timer } from '../base/clock.js';
import { FoldlogError, messageOf } from '../base/errors.js';
import type { CommandCall } from './command.js';
import { EXIT } from './errorLine.js';
import { type Role, RunFiles } from './runFiles.js';

/** What runs after a start. */
export interface ServedRole {
  role: Role;
  /** `host:port` for the ready line. */
  address: string;
  stop(): Promise<void>;
}

export interface Serving {
  /** Directory that the run files lie under. */
  home: string;
  roles: readonly Role[];
  /** Returns the roles in the order in which they started. */
  start(): Promise<ServedRole[]>;
  /** Closes what the roles shared, when all have stopped. */
  finish?(): Promise<void>;
}

/** A stop that takes longer ends the process; the next start recovers, as after a crash. */
const STOP_MAX_MILLIS = 9500;
const WHAT = { broker: 'broker', namesrv: 'name server' } as const;

export async function serve({ terminal, logger }: CommandCall, serving: Serving): Promise<number> {
  const runFiles = new RunFiles({ home: serving.home, files: terminal.files });
  for (const role of serving.roles) refuseSecond(runFiles, role, serving.home);
  let deadline: Timer | undefined;
  const signals = new StopSignals((signal) => {
    logger.info({ signal }, 'stopping');
    deadline = terminal.clock.after(STOP_MAX_MILLIS, () => {
      terminal.err(
        `foldlog: not stopped within ${STOP_MAX_MILLIS / 1000} s: ended all the same, the next start recovers`,
      );
      process.exit(EXIT.FAILED);
    });
  });
  try {
    const served = await serving.start();
    const halves = served.map((one) => new ServedHalf(one, runFiles));
    for (const { role, address } of served) runFiles.write(role, address);
    terminal.out(`ready ${served.map(({ role, address }) => `${role}=${address}`).join(' ')}`);
    logger.release();
    signals.onStopHalf(() => {
      for (const half of halves) if (runFiles.takeStopRequest(half.role)) void half.stop();
    });
    const allStopped = Promise.all(halves.map((half) => half.stopped));
    await Promise.race([signals.stopAll, allStopped]).catch(() => {});
    for (const half of [...halves].reverse()) await half.stop();
    await allStopped;
    await serving.finish?.();
    logger.info({}, 'stopped');
    return EXIT.DONE;
  } finally {
    deadline?.cancel();
    signals.remove();
  }
}

class ServedHalf {
  readonly role: Role;
  /** Settles when the half has stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
  readonly #served: ServedRole;
  readonly #runFiles: RunFiles;
  #settle: { resolve: () => void; reject: (thrown: unknown) => void } = { resolve: () => {}, reject: () => {} };
  #stopping: Promise<void> | undefined;

  constructor(served: ServedRole, runFiles: RunFiles) {
    this.role = served.role;
    this.#served = served;
    this.#runFiles = runFiles;
    this.stopped = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.stopped.catch(() => {});
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    try {
      await this.#served.stop();
      this.#settle.resolve();
    } catch (thrown) {
      const reason = `the ${WHAT[this.role]} did not stop cleanly: ${messageOf(thrown)}; the next start recovers`;
      this.#settle.reject(new FoldlogError('LIFECYCLE', reason, { cause: thrown }));
    } finally {
      this.#runFiles.remove(this.role);
    }
  }
}

/** The signals of this process, from before the start, so that none is lost. */
class StopSignals {
  readonly stopAll: Promise<void>;
  readonly #handlers: [NodeJS.Signals, () => void][] = [];
  #stopHalf: (() => void) | undefined;
  #isHalfAsked = false;

  constructor(onFirst: (signal: string) => void) {
    let isStopping = false;
    this.stopAll = new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        this.#handle(signal, () => {
          if (isStopping) process.exit(EXIT.FAILED);
          isStopping = true;
          onFirst(signal);
          resolve();
        });
      }
    });
    this.#handle('SIGUSR2', () => {
      this.#isHalfAsked = true;
      this.#stopHalf?.();
    });
  }

  onStopHalf(stopHalf: () => void): void {
    this.#stopHalf = stopHalf;
    if (this.#isHalfAsked) stopHalf();
  }

  remove(): void {
    for (const [signal, handler] of this.#handlers) process.removeListener(signal, handler);
  }

  #handle(signal: NodeJS.Signals, handler: () => void): void {
    process.on(signal, handler);
    this.#handlers.push([signal, handler]);
  }
}

function refuseSecond(runFiles: RunFiles, role: Role, home: string): void {
  const found = runFiles.find(role);
  if (found.status !== 'RUNS') return;
  const { pid, address } = found.running;
  throw new FoldlogError(
    'STORE_LOCKED',
    `a ${WHAT[role]} (process ${pid}, ${address}) already runs from ${home}: stop it with "foldlog shutdown ${role} --store ${home}" or choose another directory`,
    { pid, home },
  );
}
