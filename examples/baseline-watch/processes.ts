/** The other processes of the run. All are ended by their ids, whatever happens to this one. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const STOP_MILLIS = 10_000;
const READY = /^ready namesrv=(\S+:(\d+)) broker=\S+:(\d+)$/;
/** Many short-lived objects, little that stays: a small heap is enough, and keeps all processes together small. */
const SMALL_HEAP = ['--max-semi-space-size=8', '--max-old-space-size=256'];

export class Processes {
  readonly #running = new Set<ChildProcess>();
  readonly #endAll = () => {
    for (const child of this.#running) child.kill('SIGKILL');
  };

  constructor() {
    process.once('exit', this.#endAll);
  }

  /** A program of the example, which can send messages to this one. */
  fork(file: string, ...words: string[]): ChildProcess {
    const execArgv = [...SMALL_HEAP, ...process.execArgv];
    return this.#own(fork(fileURLToPath(new URL(file, import.meta.url)), words, { execArgv }));
  }

  /** `foldlog` with these words, as a user would start it. */
  foldlog(...words: string[]): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
    const program = fileURLToPath(new URL('cli/main.js', import.meta.resolve('foldlog')));
    const child = spawn(process.execPath, [...SMALL_HEAP, program, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#own(child);
    return child;
  }

  /** The hard way: no signal handler runs, nothing is flushed. Resolves when the process is gone. */
  async kill(child: ChildProcess): Promise<void> {
    if (!this.#running.has(child)) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Asks to stop, and insists after a while. */
  async stop(child: ChildProcess): Promise<void> {
    if (!this.#running.has(child)) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const insist = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS);
    await gone;
    clearTimeout(insist);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.stop(child)));
    process.removeListener('exit', this.#endAll);
  }

  #own(child: ChildProcess): ChildProcess {
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }
}

export interface Servers {
  child: ChildProcess;
  namesrvAddr: string;
  /** To be given again when the servers start anew on the same addresses. */
  ports: { namesrv: string; broker: string };
}

/** `foldlog up` on a directory. Resolves when it is ready. */
export async function startServers(processes: Processes, store: string, ports?: Servers['ports']): Promise<Servers> {
  const { namesrv = '0', broker = '0' } = ports ?? {};
  const child = processes.foldlog('up', '--store', store, '--namesrv-port', namesrv, '--broker-port', broker);
  let complaint = '';
  child.stderr?.on('data', (text: Buffer) => {
    complaint = (complaint + text).slice(-2_000);
  });
  const ready = new Promise<Servers>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      const [, namesrvAddr, namesrvPort, brokerPort] = READY.exec(line) ?? [];
      if (namesrvAddr && namesrvPort && brokerPort) {
        resolve({ child, namesrvAddr, ports: { namesrv: namesrvPort, broker: brokerPort } });
      }
    });
  });
  const over = new AbortController();
  try {
    return await Promise.race([ready, failureOf(child, 'foldlog up', over.signal, () => complaint)]);
  } finally {
    over.abort();
  }
}

/** Rejects when the process ends before the signal is given. */
export function failureOf(child: ChildProcess, name: string, over: AbortSignal, complaint = () => ''): Promise<never> {
  return new Promise<never>((_, reject) => {
    const onExit = () => reject(new Error(`${name} ended (${child.signalCode ?? child.exitCode}) ${complaint()}`));
    if (child.exitCode !== null || child.signalCode !== null) onExit();
    child.once('exit', onExit);
    over.addEventListener('abort', () => child.removeListener('exit', onExit));
  });
}

/** The next message of a forked program; rejects when it ends instead. */
export async function messageOf(child: ChildProcess, name: string): Promise<unknown> {
  const over = new AbortController();
  try {
    const answer = once(child, 'message', { signal: over.signal });
    // Aborted below when the process ended instead.
    answer.catch(() => {});
    const [message] = await Promise.race([answer, failureOf(child, name, over.signal)]);
    return message;
  } finally {
    over.abort();
  }
}
