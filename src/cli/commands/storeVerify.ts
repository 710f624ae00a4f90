/** `foldlog store verify DIR`: checks a store directory without changing it, also one that Apache RocketMQ wrote. */
import { verifyStore } from '../../store/offline/verify.js';
import type { CommandCall } from '../command.js';
import { EXIT } from '../errorLine.js';
import { storeDirectoryOf } from './storeDirectory.js';

export async function run(call: CommandCall): Promise<number> {
  const { terminal } = call;
  const { directory, maxHashSlotNum } = storeDirectoryOf(call);
  const report = verifyStore(directory, { files: terminal.files, maxHashSlotNum });
  terminal.out(`commit log ${report.minCommitLogOffset} to ${report.logEnd}: ${report.recordCount} records`);
  for (const { topic, queueId, minOffset, maxOffset } of report.queues) {
    terminal.out(`queue ${topic} ${queueId}: ${minOffset} to ${maxOffset}`);
  }
  terminal.out(`index: ${report.indexEntryCount} entries`);
  for (const { file, offset, problem } of report.problems) {
    terminal.out(`problem in ${file}${offset < 0 ? '' : ` at ${offset}`}: ${problem}`);
  }
  const { problemCount } = report;
  if (problemCount === 0) {
    terminal.out('no problem found');
    return EXIT.DONE;
  }
  const unnamed = problemCount - report.problems.length;
  const more = unnamed > 0 ? `, ${unnamed} of them not named` : '';
  terminal.err(`foldlog: ${directory}: ${problemCount} ${problemCount === 1 ? 'problem' : 'problems'} found${more}`);
  return EXIT.FAILED;
}
