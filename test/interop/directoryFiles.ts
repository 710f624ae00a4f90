/** What lies in a store directory, for comparing it before and after somebody ran on it. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { verifyStore } from '../../src/store/index.js';
import type { SharedKeys } from './site.js';

/** The bytes of the commit log up to its end. */
export interface LogBytes {
  end: number;
  files: Map<string, Buffer>;
}

export const sizesOf = (keys: SharedKeys) => {
  const names = ['mappedFileSizeCommitLog', 'mappedFileSizeConsumeQueue', 'maxHashSlotNum', 'maxIndexNum'] as const;
  return Object.fromEntries(names.flatMap((name) => (keys[name] === undefined ? [] : [[name, keys[name]]])));
};

export function readLog(store: string, keys: SharedKeys): LogBytes {
  const { logEnd } = verifyStore(store, sizesOf(keys));
  const root = path.join(store, 'commitlog');
  const files = new Map<string, Buffer>();
  for (const name of existsSync(root) ? readdirSync(root).sort() : []) {
    const file = path.join(root, name);
    const length = Math.min(statSync(file).size, logEnd - Number(name));
    if (length > 0) files.set(name, readFileSync(file).subarray(0, length));
  }
  return { end: logEnd, files };
}

/** Nothing below the end that the log had has changed. */
export function expectLogKept(now: LogBytes, before: LogBytes): void {
  expect(now.end).toBeGreaterThanOrEqual(before.end);
  for (const [name, bytes] of before.files) {
    expect([name, now.files.get(name)?.subarray(0, bytes.length).equals(bytes)]).toEqual([name, true]);
  }
}

type Json = Record<string, unknown>;

export interface ConfigFiles {
  topics: Record<string, Json>;
  groups: Record<string, Json>;
  /** Other files of `config/` by name, as they are. */
  others: Map<string, string>;
}

const readJson = (file: string): Json => (existsSync(file) ? (parseLooseJson(readFileSync(file, 'utf8')) as Json) : {});

export function readConfig(store: string): ConfigFiles {
  const root = path.join(store, 'config');
  const table = (name: string, member: string) => {
    const value = readJson(path.join(root, name))[member] ?? {};
    return plain(value) as Record<string, Json>;
  };
  const names = existsSync(root) ? readdirSync(root) : [];
  return {
    topics: table('topics.json', 'topicConfigTable'),
    groups: table('subscriptionGroup.json', 'subscriptionGroupTable'),
    others: new Map(names.map((name) => [name, readFileSync(path.join(root, name), 'latin1')])),
  };
}

/** Maps as objects. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

/** Offsets of a group by queue id, as they were last saved. */
export function savedOffsets(store: string, topic: string, group: string): Record<string, unknown> {
  const table = readJson(path.join(store, 'config', 'consumerOffset.json'))['offsetTable'] ?? {};
  return (plain(table) as Record<string, Json>)[`${topic}@${group}`] ?? {};
}

/** Topics and groups that were there are there with every member that they had. */
export function expectConfigKept(now: ConfigFiles, before: ConfigFiles): void {
  expect(now.topics).toMatchObject(before.topics);
  expect(now.groups).toMatchObject(before.groups);
}

/** Files below a directory of the store, by path. */
export function readFiles(store: string, name: string): Map<string, string> {
  const root = path.join(store, name);
  if (!existsSync(root)) return new Map();
  return new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => [path.relative(root, file), readFileSync(file, 'latin1')]),
  );
}

/** The files, or those with these names, are as they were. */
export function expectUntouched(
  now: ReadonlyMap<string, string>,
  before: ReadonlyMap<string, string>,
  names: readonly string[] = [...before.keys()],
): void {
  for (const name of names) if (before.has(name)) expect([name, now.get(name)]).toEqual([name, before.get(name)]);
}
