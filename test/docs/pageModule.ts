/**
 * A page's ```ts blocks as one module, as a reader who types them in from top to bottom has it. Line N of the module is
 * line N of the page, so what the compiler and a stack say of the module is said of the page. How blocks are written
 * stands in CONTRIBUTING.md.
 */

export interface Block {
  /** Of its opening fence, from 1. */
  line: number;
  /** `ts`, `sh`, or nothing. */
  language: string;
  /** What follows the language. */
  mark: string;
  code: readonly string[];
}

/** Type-checked, not run. */
const SIGNATURE = 'signature';
/** Also of a block in a list or a quotation. */
const FENCE = /^(\s*(?:(?:[-*>]|\d+\.)\s+)?)(`{3,})\s*(\S*)\s*(.*?)\s*$/;
/** Code that no test would see. */
const UNCHECKED = new Set(['typescript', 'tsx', 'js', 'javascript', 'mjs']);
/** A comment that says no more than "and so on". */
const CONTINUATION = /(\/\/|\/\*)\s*(…|\.{3})\s*(\*\/|$)/;
const PRINTS = /\/\/ => (.*)$/;

/** Throws when the last fence is not closed. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: (Block & { code: string[]; indent: string; ticks: string }) | undefined;
  page.split('\n').forEach((line, index) => {
    const [, indent = '', ticks = '', language = '', mark = ''] = FENCE.exec(line) ?? [];
    if (!open) {
      if (ticks !== '') open = { line: index + 1, language, mark, code: [], indent, ticks };
    } else if (ticks === open.ticks && language === '') {
      blocks.push({ line: open.line, language: open.language, mark: open.mark, code: open.code });
      open = undefined;
    } else {
      open.code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
    }
  });
  if (open) throw new Error(`the block that begins in line ${open.line} does not end`);
  return blocks;
}

const isTs = ({ language }: Block) => language === 'ts';
const isRun = (block: Block) => isTs(block) && block.mark === '';

export const hasSnippets = (page: string): boolean => blocksOf(page).some(isTs);
export const hasSignatures = (page: string): boolean => blocksOf(page).some(({ mark }) => mark === SIGNATURE);

/** The module of all blocks, or of those that are run. */
export function moduleOf(page: string, which: 'all' | 'run'): string {
  const lines = page.split('\n').map(() => '');
  for (const { line, code } of blocksOf(page).filter(which === 'all' ? isTs : isRun)) {
    code.forEach((text, index) => {
      lines[line + index] = text;
    });
  }
  return lines.join('\n');
}

/** What the page says that it prints, in order. */
export function printsOf(page: string): string[] {
  return blocksOf(page)
    .filter(isRun)
    .flatMap(({ code }) => code.flatMap((line) => PRINTS.exec(line)?.slice(1) ?? []));
}

/** What is against the convention, by line. */
export function defectsOf(page: string): string[] {
  return blocksOf(page).flatMap(({ line, language, mark, code }) => {
    if (UNCHECKED.has(language)) return [`line ${line}: ${language} is not checked: write it as ts`];
    if (language !== 'ts') return [];
    if (mark !== '' && mark !== SIGNATURE) return [`line ${line}: ${mark} is not known behind ts`];
    return code.flatMap((text, index) =>
      CONTINUATION.test(text) ? [`line ${line + index + 1}: blocks are complete, without "and so on"`] : [],
    );
  });
}
