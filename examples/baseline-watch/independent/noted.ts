/**
 * Folds what intake noted: one JSON line for each statement that the restarted broker stored. The same statements,
 * replayed from the log by stored time, must give the same figures.
 */
import { readFileSync } from 'node:fs';
import type { Figures } from './expected.js';

/** One line of the notes. */
export interface Note {
  feature: string;
  browser: string;
  type: 'SupportAdded' | 'SupportRemoved';
  plain: boolean;
}

export function notedFigures(file: string): Figures {
  const figures: Figures = { SupportAdded: 0, SupportRemoved: 0 };
  const balance = new Map<string, number>();
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const note = JSON.parse(line) as Note;
    figures[note.type] = Number(figures[note.type]) + 1;
    if (!note.plain) continue;
    const key = `${note.browser} ${note.feature}`;
    balance.set(key, (balance.get(key) ?? 0) + (note.type === 'SupportAdded' ? 1 : -1));
  }
  for (const [key, open] of balance) {
    const name = `features ${key.slice(0, key.indexOf(' '))}`;
    if (open > 0) figures[name] = Number(figures[name] ?? 0) + 1;
  }
  return figures;
}
