/** The events: what browsers did (statements of browser-compat-data), and what follows from it. */
import { IsBoolean, IsIn, IsInt, IsISO8601, IsOptional, IsString, Matches, Min } from 'class-validator';
import { Event, Filterable } from 'foldlog';
import { type Browser, CORE_BROWSERS } from './browsers.js';

/** One end of a statement: a release of a browser that begins or ceases to have the feature. */
abstract class SupportChange {
  @IsIn(CORE_BROWSERS) @Filterable() browser!: Browser;
  /** As the data has it; `≤79` means 79 or earlier. */
  @Matches(/^≤?\d+(\.\d+)*$/) version!: string;
  @IsInt() @Min(0) @Filterable() major!: number;
  /** Which of the browser's statements about the feature. */
  @IsInt() @Min(0) statement!: number;
  /** Only behind a preference. */
  @IsOptional() @IsString() flag?: string;
  @IsOptional() @IsString() prefix?: string;
  @IsOptional() @IsString() alternativeName?: string;
  @IsOptional() @IsBoolean() partial?: boolean;
}

@Event({ type: 'SupportAdded', version: 1 })
export class SupportAdded extends SupportChange {}

@Event({ type: 'SupportRemoved', version: 1 })
export class SupportRemoved extends SupportChange {}

/** All core browsers have the feature. */
@Event({ type: 'BaselineReached', version: 1 })
export class BaselineReached {
  @IsISO8601({ strict: true }) date!: string;
  /** The browser that everyone had waited for. */
  @IsIn(CORE_BROWSERS) lastBrowser!: Browser;
}

/** A core browser that had the feature dropped it. */
@Event({ type: 'BaselineLost', version: 1 })
export class BaselineLost {
  @IsISO8601({ strict: true }) date!: string;
  @IsIn(CORE_BROWSERS) droppedBy!: Browser;
}

/** What a statement of support may be limited by. */
interface Limits {
  flag?: string | undefined;
  prefix?: string | undefined;
  alternativeName?: string | undefined;
  partial?: boolean | undefined;
}

/** Works as written down: no flag, no prefix, no other name, no gaps. Only this counts for Baseline. */
export function isPlain({ flag, prefix, alternativeName, partial }: Limits): boolean {
  return flag === undefined && prefix === undefined && alternativeName === undefined && !partial;
}

/** The day of a moment, as in `2016-04-01`. */
export function dayOf(moment: Date): string {
  return moment.toISOString().slice(0, 10);
}
