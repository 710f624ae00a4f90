/** The options of every command that works on an application's log. `appFile.ts` opens what they name. */
import type { OptionRow } from './command.js';

export const APP_OPTIONS: readonly OptionRow[] = [
  {
    flags: '--app <file>',
    meaning: 'module whose default export is what Foldlog.start takes (TypeScript: NODE_OPTIONS="--import tsx")',
    required: true,
  },
  { flags: '--store <dir>', meaning: 'directory of a store that nobody uses (default: what the application says)' },
  {
    flags: '-n, --namesrv <addresses>',
    meaning: 'name servers, HOST:PORT separated by ; (default: what the application says, then NAMESRV_ADDR)',
  },
];
