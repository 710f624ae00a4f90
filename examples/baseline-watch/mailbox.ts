/** Stands for a mail server: what has been sent, one line a mail, in a file that survives every process. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export interface Mail {
  eventId: string;
  subject: string;
}

export class Mailbox {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  send(mail: Mail): void {
    appendFileSync(this.#file, `${JSON.stringify(mail)}\n`);
  }

  read(): Mail[] {
    if (!existsSync(this.#file)) return [];
    const lines = readFileSync(this.#file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Mail);
  }
}
