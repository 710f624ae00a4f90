/** Collects what a command writes. */
import { diskFiles } from '../../src/base/files.js';
import type { Terminal } from '../../src/cli/terminal.js';
import { ManualClock } from './manualClock.js';

export class FakeTerminal implements Terminal {
  readonly outLines: string[] = [];
  readonly errLines: string[] = [];
  readonly env: Record<string, string | undefined> = {};
  readonly isOutClosed = false;
  readonly files = diskFiles;
  readonly clock = new ManualClock();
  progress?: (text: string) => void;

  out(line: string): void {
    this.outLines.push(line);
  }

  err(line: string): void {
    this.errLines.push(line);
  }
}
