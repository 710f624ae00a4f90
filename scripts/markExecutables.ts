/** After tsc: makes the command line entry points executable, as npm does only when it installs a package. */
import { chmodSync, existsSync, readFileSync } from 'node:fs';

const { bin } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  bin: Record<string, string>;
};
for (const file of new Set(Object.values(bin))) {
  const built = new URL(`../${file}`, import.meta.url);
  if (existsSync(built)) chmodSync(built, 0o755);
}
