/**
 * The lock of a store directory, taken before anything in it is read or changed. Node has no flock, so three things
 * together make it, none of which needs native code:
 *
 * - On Linux an abstract Unix socket named after the directory's device and inode: the kernel gives it to one process
 *   and takes it back when that process dies, however it dies.
 * - `foldlog/pid` with the process id and its start time (field 22 of /proc/<pid>/stat): it says who holds the lock, and
 *   is the lock where there are no abstract sockets. A process that is gone, or another one with its id, does not count.
 * - /proc/locks tells of an Apache broker, which locks byte 0 of the file `lock`.
 *
 * What cannot be prevented: an Apache broker started on a directory that is open here. Abstract sockets are seen within
 * one network namespace only.
 */
import { createServer, type Server } from 'node:net';
import { FoldlogError } from '../base/errors.js';
import type { Files } from '../base/files.js';
import { isSystemError, joinPath } from '../base/files.js';
import { MARKS_DIRECTORY } from './recovery/marks.js';

export interface StoreLock {
  release(): Promise<void>;
}

export type LockDirectory = (files: Files, directory: string) => Promise<StoreLock>;

interface Holder {
  pid: number;
  startTime: string;
}

/** Takes the lock or throws STORE_LOCKED, which says who holds it. The directory exists. */
export const lockDirectory: LockDirectory = async (files, directory) => {
  const identity = files.stat(directory)?.identity;
  const socket = identity && process.platform === 'linux' ? await bindName(`\0foldlog-store-${identity}`) : undefined;
  try {
    if (socket === 'TAKEN') throw locked(directory, readHolder(files, directory));
    const broker = brokerHolding(files, joinPath(directory, 'lock'));
    if (broker !== undefined) throw locked(directory, { pid: broker, startTime: '' }, 'an Apache RocketMQ broker, ');
    takePidFile(files, directory, socket !== undefined);
    const lockFile = joinPath(directory, 'lock');
    // The file that an Apache broker locks; we only see to it that it is there.
    if (!files.stat(lockFile)) files.writeFile(lockFile, 'lock');
  } catch (error) {
    if (socket && socket !== 'TAKEN') await closeServer(socket);
    throw error;
  }
  return {
    async release() {
      files.remove(pidFile(directory));
      if (socket) await closeServer(socket);
    },
  };
};

/** Throws STORE_LOCKED when somebody holds the lock. Takes none and writes nothing: for whoever only looks. */
export async function refuseLocked(files: Files, directory: string): Promise<void> {
  const identity = files.stat(directory)?.identity;
  const socket = identity && process.platform === 'linux' ? await bindName(`\0foldlog-store-${identity}`) : undefined;
  try {
    const holder = readHolder(files, directory);
    if (socket === 'TAKEN') throw locked(directory, holder);
    const broker = brokerHolding(files, joinPath(directory, 'lock'));
    if (broker !== undefined) throw locked(directory, { pid: broker, startTime: '' }, 'an Apache RocketMQ broker, ');
    if (!socket && holder && isAlive(files, holder)) throw locked(directory, holder);
  } finally {
    if (socket && socket !== 'TAKEN') await closeServer(socket);
  }
}

function locked(directory: string, holder: Holder | undefined, what = ''): FoldlogError {
  const who = holder ? `${what}process ${holder.pid}` : 'another process';
  return new FoldlogError('STORE_LOCKED', `the store in ${directory} is in use by ${who}: stop it first`, {
    directory,
    pid: holder?.pid,
  });
}

/** Binds an abstract socket name. Undefined where the system has none. */
function bindName(name: string): Promise<Server | 'TAKEN' | undefined> {
  return new Promise((resolve) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', (error) => resolve(isSystemError(error, 'EADDRINUSE') ? 'TAKEN' : undefined));
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function pidFile(directory: string): string {
  return joinPath(directory, MARKS_DIRECTORY, 'pid');
}

/** `isLocked`: the socket proves that no other process of ours is here, so whatever the file says is stale. */
function takePidFile(files: Files, directory: string, isLocked: boolean): void {
  const holder = readHolder(files, directory);
  if (!isLocked && holder && isAlive(files, holder)) throw locked(directory, holder);
  files.makeDirectory(joinPath(directory, MARKS_DIRECTORY));
  const path = pidFile(directory);
  files.remove(path);
  let file: ReturnType<Files['open']>;
  try {
    file = files.open(path, 'wx+');
  } catch (error) {
    // Somebody came in between.
    if (isSystemError(error, 'EEXIST')) throw locked(directory, readHolder(files, directory));
    throw error;
  }
  try {
    const content = Buffer.from(`${process.pid} ${startTimeOf(files, process.pid)}\n`);
    file.write(content, 0, content.length, 0);
  } finally {
    file.close();
  }
}

function readHolder(files: Files, directory: string): Holder | undefined {
  if (!files.stat(pidFile(directory))) return undefined;
  const [pid = '', startTime = ''] = files.readFile(pidFile(directory)).toString().trim().split(' ');
  return /^\d+$/.test(pid) ? { pid: Number(pid), startTime } : undefined;
}

function isAlive(files: Files, holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return false;
  }
  return startTimeOf(files, holder.pid) === holder.startTime;
}

/** Empty where /proc is not there. */
function startTimeOf(files: Files, pid: number): string {
  try {
    const stat = files.readFile(`/proc/${pid}/stat`).toString();
    // The second field is the command in parentheses and may hold blanks; field 22 is the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** Id of the process that holds an exclusive lock on the file. */
function brokerHolding(files: Files, lockFile: string): number | undefined {
  const identity = files.stat(lockFile)?.identity;
  if (!identity) return undefined;
  let locks: string;
  try {
    locks = files.readFile('/proc/locks').toString();
  } catch {
    return undefined;
  }
  const [device = '', inode = ''] = identity.split(':');
  const wanted = `${deviceText(Number(device))}:${inode}`;
  for (const line of locks.split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 12345 08:02:1234567 0 0
    const fields = line.trim().split(/\s+/);
    if (fields[3] === 'WRITE' && fields[5] === wanted) return Number(fields[4]);
  }
  return undefined;
}

/** A device number as /proc/locks writes it: major and minor, hexadecimal. */
function deviceText(device: number): string {
  const high = Math.floor(device / 0x1_0000_0000);
  const low = device >>> 0;
  const major = ((low >>> 8) & 0xfff) | (high & ~0xfff);
  const minor = (low & 0xff) | ((low >>> 12) & ~0xff);
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
}
