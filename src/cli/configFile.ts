/** Reads the file of `-c`; an unreadable one is a line that names it. */
import { FoldlogError } from '../base/errors.js';
import type { ConfigFile } from '../config/readConfig.js';
import { errorLine } from './errorLine.js';
import type { Terminal } from './terminal.js';

export function readConfigFile(file: unknown, { files }: Terminal): ConfigFile | undefined {
  if (typeof file !== 'string') return undefined;
  try {
    return { file, text: files.readFile(file).toString() };
  } catch (thrown) {
    const reason = errorLine(thrown, { verbose: false });
    const message = reason.includes(file) ? reason : `${file}: ${reason}`;
    throw new FoldlogError('OPTIONS_INVALID', `cannot read the configuration: ${message}`, { file, cause: thrown });
  }
}
