/** Pages name files; a page that names one that is not there leads a reader astray. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];

describe.each(pages)('%s', (page) => {
  const text = readFileSync(path.join(root, page), 'utf8');

  it('names only files that exist', () => {
    const named = [...text.matchAll(/`((?:src|test|examples|scripts|docs)\/[\w./-]*[\w/])`/g)].map(
      (match) => match[1] ?? '',
    );
    expect(named.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });

  it('links only to pages that exist', () => {
    const linked = [...text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map((match) => match[1] ?? '');
    expect(linked.filter((file) => !existsSync(path.join(root, path.dirname(page), file)))).toEqual([]);
  });

  it('names files of ARCHITECTURE.md by folder and name', () => {
    if (page !== 'ARCHITECTURE.md') return;
    const short = [...text.matchAll(/`((?!src|test|examples)[a-z]+\/[\w/]+\.ts)`/g)].map((match) => match[1] ?? '');
    expect(short.filter((file) => !existsSync(path.join(root, 'src', file)))).toEqual([]);
  });
});
