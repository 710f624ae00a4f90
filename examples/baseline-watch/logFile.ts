/** What the processes have to say goes to files beside the store: warnings and errors, one JSON line each. */
import { appendFileSync } from 'node:fs';
import type { Logger } from 'foldlog';

export function logTo(file: string): Logger {
  const line = (level: string) => (fields: object, message: string) => {
    const facts = JSON.stringify({ level, time: new Date(), message, ...fields }, (_, value) =>
      value instanceof Error ? value.message : value,
    );
    appendFileSync(file, `${facts}\n`);
  };
  const ignore = () => {};
  return { debug: ignore, info: ignore, warn: line('warn'), error: line('error') };
}
