/**
 * The Java load client (`bench/java/BenchClient.java`) as a process that is asked line by line. Its jars are those that
 * scripts/rocketmq/fetch-jars.sh resolves from Maven Central; it is compiled anew for each run. One process serves a whole
 * run: all brokers meet the same client, equally warm.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ROCKETMQ_SCRIPTS } from '../../test/interop/realRocketMq.js';

const run = promisify(execFile);
const source = path.resolve(import.meta.dirname, '../java/BenchClient.java');

/** What the client counted in one sample. Latencies are -1 where there are none. */
export interface Sample {
  count: number;
  millis: number;
  p50Millis: number;
  p99Millis: number;
  /** User and system time of the processes that were asked for, and of the client, within the sample. */
  serverCpuMillis: number;
  clientCpuMillis: number;
  failed: number;
  firstError?: string;
}

export class BenchClient {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, answers: AsyncIterator<string>) {
    this.#child = child;
    this.#answers = answers;
  }

  /** `directory` takes the classes and what the client library logs. */
  static async start(directory: string): Promise<BenchClient> {
    const { stdout } = await run('bash', [path.join(ROCKETMQ_SCRIPTS, 'fetch-jars.sh')]);
    const jars = path.join(stdout.trim().split('\n').at(-1) ?? '', '*');
    await run('javac', ['-nowarn', '-cp', jars, '-d', directory, source]);
    const child = spawn(
      'java',
      [
        '-Xms512m',
        '-Xmx2g',
        '-XX:+UseG1GC',
        `-Duser.home=${directory}`,
        `-Drocketmq.client.logRoot=${directory}`,
        `-Drocketmq.client.localOffsetStoreDir=${directory}`,
        '-cp',
        `${directory}:${jars}`,
        'BenchClient',
      ],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    );
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new BenchClient(child, answers);
  }

  /** Runs a command to its end. Throws when it failed, or the client is gone. */
  async ask(command: string, options: Readonly<Record<string, string | number>>): Promise<Sample> {
    const words = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    const line = [command, ...words].join(' ');
    this.#child.stdin?.write(`${line}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the Java client ended while it ran: ${line}`);
    const found = JSON.parse(value) as Sample & { error?: string };
    if (found.error !== undefined) throw new Error(`the Java client failed at "${line}": ${found.error}`);
    return found;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
