/**
 * Whether the store takes writes, and why not (upstream: `RunningFlags`). Three reasons: no room on the disk, which the
 * next append may find; a disk that is nearly full, until its usage has gone down; and a failed write or sync, which is
 * final: what reached the device is unknown, so the store is opened anew and recovery finds out. The failure reaches
 * every later caller.
 */
import { FoldlogError, messageOf } from '../../base/errors.js';
import { isSystemError } from '../../base/files.js';

export class Writability {
  #failure: FoldlogError | undefined;
  #roomMissing: string | undefined;
  #nearlyFull: string | undefined;

  get failure(): FoldlogError | undefined {
    return this.#failure;
  }

  /** Why there is no room, if there is none. */
  get roomMissing(): string | undefined {
    return this.#roomMissing;
  }

  get isWritable(): boolean {
    return this.#failure === undefined && this.#roomMissing === undefined && this.#nearlyFull === undefined;
  }

  /** Why writes are refused although there is room, if they are. */
  get nearlyFull(): string | undefined {
    return this.#nearlyFull;
  }

  /** Refuses writes for this reason, or takes them again. */
  setNearlyFull(reason: string | undefined): void {
    this.#nearlyFull = reason;
  }

  assertUsable(): void {
    if (this.#failure) throw this.#failure;
  }

  /** The first failure counts; returns it. */
  fail(action: string, cause: unknown): FoldlogError {
    this.#failure ??= new FoldlogError(
      'STORE_FAILED',
      `the store is finished: ${action} failed (${messageOf(cause)}); stop, look at the disk, and open the store anew`,
      { cause },
    );
    return this.#failure;
  }

  missRoom(action: string, cause: unknown): FoldlogError {
    this.#roomMissing = `no room on the disk: ${action} failed (${messageOf(cause)})`;
    return new FoldlogError('DISK_FULL', `${this.#roomMissing}; nothing of this turn is stored, make room and repeat`, {
      cause,
      retriable: true,
    });
  }

  haveRoom(): void {
    this.#roomMissing = undefined;
  }
}

/** Is this error the disk's answer that it is full? */
export function isNoRoom(thrown: unknown): boolean {
  return isSystemError(thrown, 'ENOSPC') || isSystemError(thrown, 'EDQUOT');
}
