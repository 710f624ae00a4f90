/** Shows how far the run is: bars on a terminal, a line every tenth otherwise. */
import { MultiBar, Presets, type SingleBar } from 'cli-progress';

export class Progress {
  readonly #bars: MultiBar | undefined;
  readonly #startedAt = performance.now();

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    if (!stream.isTTY) return;
    this.#bars = new MultiBar(
      { stream, format: '{name} {bar} {value}/{total}', hideCursor: true, clearOnComplete: false, fps: 5 },
      Presets.shades_classic,
    );
  }

  /** A line of its own, with the seconds since the start. */
  say(line: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(5);
    if (this.#bars) this.#bars.log(`${seconds} s  ${line}\n`);
    else process.stdout.write(`${seconds} s  ${line}\n`);
  }

  /** Call what is returned with how much is done. */
  task(name: string, total: number): (done: number) => void {
    if (this.#bars) {
      const bar: SingleBar = this.#bars.create(total, 0, { name: name.padEnd(24) });
      return (done) => bar.update(done);
    }
    let shown = 0;
    return (done) => {
      const tenth = Math.floor((done * 10) / Math.max(1, total));
      if (tenth <= shown) return;
      shown = tenth;
      this.say(`${name}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')}`);
    };
  }

  stop(): void {
    this.#bars?.stop();
  }
}
