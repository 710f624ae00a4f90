/** How far a command is, as a bar on a terminal; undefined where there is none. */
import cliProgress from 'cli-progress';
import type { Terminal } from './terminal.js';

const WIDTH = 30;
const STYLE = {
  barsize: WIDTH,
  barCompleteString: '='.repeat(WIDTH),
  barIncompleteString: '-'.repeat(WIDTH),
  barGlue: '',
};

export function progressBar(
  { progress }: Terminal,
  what: string,
): ((passed: number, total: number) => void) | undefined {
  return (
    progress &&
    ((passed, total) => {
      const part = total === 0 ? 1 : passed / total;
      progress(`${cliProgress.Format.BarFormat(part, STYLE)} ${passed} of ${total} ${what}`);
    })
  );
}
