/** A `@Projection` class as the runner and replays take it: methods by event type. */
import type { AppDatabase } from '../database/appDatabase.js';
import type { ProjectionFacts } from '../decorators/handlerMetadata.js';
import type { ProjectionDefinition, ProjectionHandler } from '../projections/projection.js';

export function projectionDefinitionOf(facts: ProjectionFacts, handler: object): ProjectionDefinition {
  const initialise: unknown = Reflect.get(handler, 'initialise');
  const handlers = new Map<string, ProjectionHandler>(
    facts.handlers.map(({ type, member }) => {
      const method = Reflect.get(handler, member) as ProjectionHandler;
      return [type, method.bind(handler)];
    }),
  );
  const { name, version, topics } = facts;
  return {
    name,
    version,
    topics,
    handlers,
    ...(typeof initialise === 'function' ? { initialise: (db: AppDatabase) => initialise.call(handler, db) } : {}),
  };
}
