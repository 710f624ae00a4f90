/** After tsc: makes the command line entry points executable, as npm does only when it installs a package. */
import { chmodSync, readFileSync } from 'node:fs';

const { bin } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  bin: Record<string, string>;
};
for (const file of new Set(Object.values(bin))) chmodSync(new URL(`../${file}`, import.meta.url), 0o755);
