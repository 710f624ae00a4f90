/** `@Projection`: a class whose `@On` methods fold events into a database. */
import { OptionsError } from '../base/errors.js';
import { type AnyClass, writeMetadata } from '../eventstore/classMetadata.js';
import { assertGroup, assertTopic } from '../protocol/names.js';
import {
  assertHasHandler,
  assertPullInterval,
  makeInjectable,
  PROJECTION,
  type ReplayBehaviour,
} from './handlerMetadata.js';

export interface ProjectionOptions {
  /** Names its progress in the database; letters, digits, `_`, `-`, `|`, `%`. */
  name: string;
  /** A new version starts from the beginning, beside the old one's progress. Default 1. */
  version?: number;
  /** The topics whose events it gets. */
  topics: readonly string[];
  /** Pause between pulls of a queue that has been read to its end: later, but more at a time. Default 0. */
  pullIntervalMillis?: number;
  /** Default 'run'. */
  replay?: ReplayBehaviour;
}

/**
 * Marks a class whose `@On` methods write to `context.db`. What they write and how far the projection has come are
 * stored in one transaction, so each event counts exactly once. A method `initialise(db)` makes the tables, once per
 * version.
 *
 * @throws OptionsError naming the class and what is wrong
 */
export function Projection(options: ProjectionOptions): ClassDecorator {
  return (decorated) => {
    const target = decorated as unknown as AnyClass;
    const { name, version = 1, topics, replay = 'run', pullIntervalMillis } = options;
    const refuse = (why: string) =>
      new OptionsError(`@Projection of class ${target.name}: ${why}`, { class: target.name });
    assertGroup(name);
    if (!Number.isSafeInteger(version) || version < 1) throw refuse(`version ${version} must be an integer from 1`);
    if (topics.length === 0) throw refuse('topics is empty: name at least one');
    topics.forEach(assertTopic);
    assertPullInterval(pullIntervalMillis, `@Projection of class ${target.name}`, target);
    assertHasHandler(target, 'Projection');
    makeInjectable(target);
    writeMetadata(PROJECTION, { name, version, topics: [...new Set(topics)], replay, pullIntervalMillis }, target);
  };
}
