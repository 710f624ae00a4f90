/**
 * The disk's own files with trouble on request: syncs that do not return, a disk without room, a device that fails.
 * For tests of what a caller is told; what survives is the business of the crash tests.
 */
import type { Files, OpenFile } from '../../src/base/files.js';
import { diskFiles } from '../../src/base/files.js';

export interface TroubledFiles extends Files {
  /** While true, asynchronous syncs of the commit log wait. */
  isSlow: boolean;
  /** System error code that writes to the commit log fail with: ENOSPC, EIO. */
  writeError: string | undefined;
  /** System error code that asynchronous syncs fail with. */
  syncError: string | undefined;
  /** Lets waiting syncs go on. */
  release(): void;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

export function troubledFiles(): TroubledFiles {
  let waiting: (() => void)[] = [];
  const files: TroubledFiles = {
    ...diskFiles,
    isSlow: false,
    writeError: undefined,
    syncError: undefined,
    release() {
      files.isSlow = false;
      for (const go of waiting) go();
      waiting = [];
    },
    open(file, mode) {
      const opened = diskFiles.open(file, mode);
      const isLog = file.includes('commitlog');
      const troubled: OpenFile = {
        path: opened.path,
        size: () => opened.size(),
        read: (...args) => opened.read(...args),
        write(...args) {
          if (isLog && files.writeError) throw systemError(files.writeError);
          opened.write(...args);
        },
        truncate: (size) => opened.truncate(size),
        async sync() {
          if (isLog && files.isSlow) await new Promise<void>((resolve) => waiting.push(resolve));
          if (isLog && files.syncError) throw systemError(files.syncError);
          // At once for all others, so that nothing but the log is waited for.
          if (isLog) await opened.sync();
          else opened.syncNow();
        },
        syncNow: () => opened.syncNow(),
        close: () => opened.close(),
      };
      return troubled;
    },
    // diskFiles.writeFile opens through `this`, which is these files.
    writeFile: (file, content) => diskFiles.writeFile(file, content),
  };
  return files;
}
