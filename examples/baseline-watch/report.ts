/** The table at the end: each figure beside the same figure from the independent code. */
import Table from 'cli-table3';
import pc from 'picocolors';

export type Figures = Record<string, number | string>;

export interface Row {
  subject: string;
  figure: string;
  ours: string;
  independent: string;
  isEqual: boolean;
}

/** A row for every figure that either side has. */
export function compare(subject: string, ours: Figures, independent: Figures): Row[] {
  const figures = [...new Set([...Object.keys(independent), ...Object.keys(ours)])].sort();
  return figures.map((figure) => ({
    subject,
    figure,
    ours: show(ours[figure]),
    independent: show(independent[figure]),
    isEqual: ours[figure] === independent[figure],
  }));
}

/** A row for something that must hold without being a figure of the package. */
export function demand(subject: string, figure: string, ours: string, wanted: string, isMet: boolean): Row {
  return { subject, figure, ours, independent: wanted, isEqual: isMet };
}

export function renderTable(rows: readonly Row[]): string {
  const table = new Table({ head: ['', 'figure', 'here', 'independent', ''], style: { head: [], compact: true } });
  let subject = '';
  for (const row of rows) {
    const mark = row.isEqual ? pc.green('=') : pc.red('DIFFERS');
    table.push([
      row.subject === subject ? '' : pc.bold(row.subject),
      row.figure,
      right(row.ours),
      right(row.independent),
      mark,
    ]);
    subject = row.subject;
  }
  return table.toString();
}

/** One line for each row that differs. */
export function renderDifferences(rows: readonly Row[]): string[] {
  return rows
    .filter((row) => !row.isEqual)
    .map((row) => `${row.subject}, ${row.figure}: ${row.ours} here, ${row.independent} independently`);
}

const right = (content: string) => ({ content, hAlign: 'right' as const });

function show(value: number | string | undefined): string {
  return typeof value === 'number' ? value.toLocaleString('en') : (value ?? 'none');
}
