/** A process for the forwarder alone, so that it can die between sending and settling. */
import 'reflect-metadata';
import { join } from 'node:path';
import { Foldlog, type MessageContext } from 'foldlog';
import { Container } from 'inversify';
import { Forwarder, Sent } from './forwarder.js';
import { logTo } from './logFile.js';
import { serve } from './service.js';

/** When there is less to send than it should die after. */
const LIFETIME_MILLIS = 5_000;

const [namesrv = '', directory = '', dieAfter = ''] = process.argv.slice(2);

class Immortal extends Sent {
  override async another(): Promise<void> {}
}

/** Ends the hard way after so many messages, none of them settled: the first of each queue stays under way. */
class Mortal extends Sent {
  readonly #underWay = new Set<number>();
  readonly #messages: number;
  #count = 0;

  constructor(messages: number) {
    super();
    this.#messages = messages;
    setTimeout(() => this.#die(), LIFETIME_MILLIS);
  }

  override async another({ queueId }: MessageContext): Promise<void> {
    if (++this.#count >= this.#messages) this.#die();
    if (this.#underWay.has(queueId)) return;
    this.#underWay.add(queueId);
    await new Promise(() => {});
  }

  #die(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}

await serve(async () => {
  const container = new Container();
  container.bind(Sent).toConstantValue(dieAfter === '' ? new Immortal() : new Mortal(Number(dieAfter)));
  const logger = logTo(join(directory, 'forwarder.log'));
  return Foldlog.start({ namesrv, container, logger, handlers: [Forwarder] });
});
