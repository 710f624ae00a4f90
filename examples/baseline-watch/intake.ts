/** Appends every statement to the stream of its feature, in order of date. */
import { type AggregateStore, type ExecuteResult, isFoldlogError } from 'foldlog';
import type { Feature } from './feature.js';
import { Lanes } from './lanes.js';
import type { Statement } from './statements.js';

/** Appends under way at once; those of one feature wait for each other. */
const AT_ONCE = 256;
/** A statement is tried for longer than a broker needs to come back. */
const TRIES_MAX = 20;
const PAUSE_MILLIS = 500;

/** Calls `onAppended` for each answer. */
export async function intake(
  statements: AsyncIterable<Statement>,
  features: AggregateStore<Feature>,
  onAppended: (statement: Statement, result: ExecuteResult) => void,
): Promise<void> {
  const lanes = new Lanes(AT_ONCE);
  for await (const statement of statements) {
    await lanes.give(statement.feature, async () => onAppended(statement, await append(statement, features)));
  }
  await lanes.drain();
}

/** The command id makes repeating safe: whatever became of the first try, the event is stored once. */
async function append(statement: Statement, features: AggregateStore<Feature>): Promise<ExecuteResult> {
  const { feature, type, browser, number } = statement;
  const commandId = `${type}-${browser}-${number}`;
  for (let tries = 1; ; tries++) {
    try {
      return await features.execute(feature, (one) => take(one, statement), { commandId });
    } catch (error) {
      if (!isFoldlogError(error) || !error.retriable || tries === TRIES_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLIS));
    }
  }
}

function take(feature: Feature, { type, date, browser, version, number, ...rest }: Statement): void {
  const fields = {
    browser,
    version,
    major: Number.parseInt(version.replace('≤', ''), 10),
    statement: number,
    ...(rest.flag === undefined ? {} : { flag: rest.flag }),
    ...(rest.prefix === undefined ? {} : { prefix: rest.prefix }),
    ...(rest.alternativeName === undefined ? {} : { alternativeName: rest.alternativeName }),
    ...(rest.partial ? { partial: true } : {}),
  };
  if (type === 'SupportAdded') feature.add(fields, new Date(date));
  else feature.remove(fields, new Date(date));
}
