/**
 * All questions about the store, one after the other, each in a process of its own. Arguments go to all of them;
 * with `--json` the answers come as one array.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';

const QUESTIONS = [
  'appendStore',
  'appendProducer',
  'guardedAppend',
  'sharedSlot',
  'readStore',
  'keyLookup',
  'loadStream',
  'recovery',
  'memory',
];

const args = process.argv.slice(2);
const isJson = args.includes('--json');
const answers: unknown[] = [];
let failed = 0;

for (const name of QUESTIONS) {
  const { code, text } = await ask(path.join(import.meta.dirname, `${name}.ts`));
  if (code !== 0) {
    failed += 1;
    process.stderr.write(`${name} ended with ${code}\n`);
  } else if (isJson) answers.push({ question: name, ...JSON.parse(text) });
  else process.stdout.write(`${text}\n`);
}
if (isJson) process.stdout.write(`${JSON.stringify(answers)}\n`);
process.exitCode = failed > 0 ? 1 : 0;

/** An interrupt from the terminal reaches the child as well, which cleans up; this process waits for it. */
function ask(script: string): Promise<{ code: number | string; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
      stdio: ['inherit', 'pipe', 'inherit'],
    });
    const stop = () => {
      child.once('close', () => process.exit(130));
    };
    process.once('SIGINT', stop);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    child.once('close', (code, signal) => {
      process.off('SIGINT', stop);
      resolve({ code: code ?? signal ?? 'unknown', text });
    });
  });
}
