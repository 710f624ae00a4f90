/**
 * Makes the newsletter's life hard: the forwarder dies between sending and settling, and the next one sends once more
 * what was not settled.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { messageOf, type Processes } from './processes.js';

export interface NewsOptions {
  namesrvAddr: string;
  directory: string;
  /** Messages that a forwarder sends before it dies. */
  sentBeforeDeath: number;
  say: (line: string) => void;
}

/** Resolves with the forwarder that is left running. */
export async function forwardNews(processes: Processes, options: NewsOptions): Promise<ChildProcess> {
  const { namesrvAddr, directory, sentBeforeDeath, say } = options;
  const start = (...words: string[]) => processes.fork('./forwarderService.ts', namesrvAddr, directory, ...words);
  const [, signal] = await once(start(String(sentBeforeDeath)), 'exit');
  say(`forwarder ended by ${signal} after ${sentBeforeDeath} messages, none of them settled`);
  const forwarder = start();
  await messageOf(forwarder, 'the forwarder');
  return forwarder;
}
