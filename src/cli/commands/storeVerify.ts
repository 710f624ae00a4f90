/**
 * `foldlog store verify DIR`: checks a store directory without changing it, also one that Apache RocketMQ wrote, and says
 * what is lost. With `--repair` it makes a damaged one open again and keeps what it removes. Exit code 0: nothing is
 * wrong, or everything was repaired; 1: problems are left.
 */
import { refuseLocked } from '../../store/lock.js';
import { type RepairReport, repairStore } from '../../store/offline/repair.js';
import { lossLines, type VerifyReport, verifyStore } from '../../store/offline/verify.js';
import type { CommandCall } from '../command.js';
import { EXIT } from '../errorLine.js';
import type { Terminal } from '../terminal.js';
import { storeDirectoryOf } from './storeDirectory.js';

const MIB = 1024 * 1024;

export async function run(call: CommandCall): Promise<number> {
  const { terminal, options } = call;
  const { directory, given } = storeDirectoryOf(call);
  const { files } = terminal;
  const onProgress = (doneBytes: number, totalBytes: number) =>
    terminal.progress?.(`${Math.floor(doneBytes / MIB)} of ${Math.floor(totalBytes / MIB)} MiB checked`);
  const shared = { ...given.sizes, files, onProgress };
  try {
    if (options['repair'] !== true) {
      await refuseLocked(files, directory);
      return reportVerified(terminal, directory, verifyStore(directory, shared));
    }
    const { delayLevels } = given;
    return reportRepaired(
      terminal,
      directory,
      await repairStore(directory, { ...shared, clock: terminal.clock, ...(delayLevels ? { delayLevels } : {}) }),
    );
  } finally {
    terminal.progress?.('');
  }
}

function reportVerified(terminal: Terminal, directory: string, report: VerifyReport): number {
  describe(terminal, report);
  const { problemCount } = report;
  if (problemCount === 0) {
    terminal.out('no problem found');
    return EXIT.DONE;
  }
  const unnamed = problemCount - report.problems.length;
  const more = unnamed > 0 ? `, ${unnamed} of them not named` : '';
  const isDamaged = report.problems.some(({ kind }) => kind === 'DAMAGE');
  const advice = isDamaged ? `: foldlog store verify ${directory} --repair keeps what can be read` : '';
  terminal.err(
    `foldlog: ${directory}: ${problemCount} ${problemCount === 1 ? 'problem' : 'problems'} found${more}${advice}`,
  );
  return EXIT.FAILED;
}

function describe(terminal: Terminal, report: VerifyReport): void {
  terminal.out(`commit log ${report.minCommitLogOffset} to ${report.logEnd}: ${report.recordCount} records`);
  for (const { topic, queueId, minOffset, maxOffset } of report.queues) {
    terminal.out(`queue ${topic} ${queueId}: ${minOffset} to ${maxOffset}`);
  }
  terminal.out(`index: ${report.indexEntryCount} entries`);
  for (const { file, offset, problem } of report.problems) {
    terminal.out(`problem in ${file}${offset < 0 ? '' : ` at ${offset}`}: ${problem}`);
  }
  for (const hole of report.holes) {
    for (const line of lossLines(hole)) terminal.out(`lost at log position ${hole.from}: ${line}`);
  }
  if (report.holeCount > 0) {
    terminal.out(`${report.lostBytes} bytes cannot be read, in ${report.holeCount} places`);
  }
  const { tail } = report;
  if (tail) {
    terminal.out(
      `tail of ${tail.sizeBytes} bytes at log position ${tail.position}, never synced (${tail.reason}): no damage, the next start cuts it off and keeps it aside`,
    );
  }
  for (const notice of report.notices) terminal.out(notice);
}

function reportRepaired(terminal: Terminal, directory: string, report: RepairReport): number {
  describe(terminal, report.before);
  for (const { from, to, messageCount, mode, keylessCount, droppedKeyCount, droppedOffsetCount } of report.holes) {
    const places = mode === 'EXACT' ? 'in their places' : 'with their queue offsets';
    terminal.out(`filled log position ${from} to ${to}: ${messageCount} lost messages are replaced ${places}`);
    if (keylessCount + droppedKeyCount > 0) {
      terminal.out(
        `of ${keylessCount + droppedKeyCount} keys or messages there nobody can say which stream they belonged to: a stream that lost its newest events there is not recognised`,
      );
    }
    if (droppedOffsetCount > 0) terminal.out(`${droppedOffsetCount} queue offsets stay a gap: there was no room`);
  }
  for (const kept of report.kept) terminal.out(`what was removed is kept in ${kept}`);
  for (const refusal of report.refusals) terminal.out(`not repaired: ${refusal}`);
  if (report.status === 'CLEAN') terminal.out('no problem found, nothing was changed');
  if (report.status === 'REPAIRED') terminal.out('repaired: the store opens, no problem is left');
  if (report.status !== 'LEFT') return EXIT.DONE;
  const { problemCount } = report.after;
  terminal.err(
    `foldlog: ${directory}: ${problemCount} ${problemCount === 1 ? 'problem is' : 'problems are'} left: see the lines above`,
  );
  return EXIT.FAILED;
}
