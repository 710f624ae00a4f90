/**
 * `foldlog shutdown broker|namesrv`: stops what runs from a directory and waits until it has stopped. A process that
 * runs both halves keeps the other one. The lines on stdout are those of RocketMQ's `mqshutdown`, for its scripts.
 */
import { delay } from '../../base/clock.js';
import { FoldlogError, messageOf } from '../../base/errors.js';
import { type CommandCall, STORE_DEFAULT } from '../command.js';
import { EXIT } from '../errorLine.js';
import { type Role, RunFiles, type Running } from '../runFiles.js';

/** The servers end themselves within ten seconds. */
const WAIT_MAX_MILLIS = 15_000;
const LOOK_EVERY_MILLIS = 20;

export async function run({ args, options, terminal }: CommandCall): Promise<number> {
  const role: Role = args[0] === 'namesrv' ? 'namesrv' : 'broker';
  const { store: home = STORE_DEFAULT } = options as { store?: string };
  const runFiles = new RunFiles({ home, files: terminal.files });
  const found = runFiles.find(role);
  if (found.status === 'NOTHING_RUNS') throw new FoldlogError('LIFECYCLE', `no mq${role} running from ${home}`);
  const { running } = found;
  if (found.status === 'ON_ANOTHER_HOST') {
    const message = `the mq${role} of ${home} runs on ${running.hostname} (process ${running.pid}): shut it down there`;
    throw new FoldlogError('LIFECYCLE', message);
  }
  terminal.out(`The mq${role}(${running.pid}) is running...`);
  signalStop(runFiles, running);
  terminal.out(`Send shutdown request to mq${role}(${running.pid}) OK`);
  const { clock } = terminal;
  const end = clock.monotonic() + WAIT_MAX_MILLIS;
  while (isRunning(runFiles, running)) {
    if (clock.monotonic() > end) {
      const message = `the mq${role} of ${home} (process ${running.pid}) has not stopped within ${WAIT_MAX_MILLIS / 1000} s`;
      throw new FoldlogError('REQUEST_TIMEOUT', message);
    }
    await delay(clock, LOOK_EVERY_MILLIS);
  }
  terminal.out(`The mq${role}(${running.pid}) has stopped`);
  return EXIT.DONE;
}

function signalStop(runFiles: RunFiles, { role, pid }: Running): void {
  const other = runFiles.find(role === 'broker' ? 'namesrv' : 'broker');
  const isHalf = other.status === 'RUNS' && other.running.pid === pid;
  try {
    if (isHalf) runFiles.requestStop(role);
    process.kill(pid, isHalf ? 'SIGUSR2' : 'SIGTERM');
  } catch (thrown) {
    const message = `cannot signal the mq${role} (process ${pid}): ${messageOf(thrown)}`;
    throw new FoldlogError('LIFECYCLE', message, { cause: thrown });
  }
}

/** A half has stopped when its file is gone. */
function isRunning(runFiles: RunFiles, { role, pid }: Running): boolean {
  const found = runFiles.find(role);
  return found.status === 'RUNS' && found.running.pid === pid;
}
