/** The example with a projection that overlooks what Edge removes: the table must tell. */
import 'reflect-metadata';
import { On, Projection, type ProjectionContext, type SqliteDatabase } from 'foldlog';
import { baselineWatch, DEFAULT_OPTIONS } from '../../examples/baseline-watch/baselineWatch.js';
import { TOPIC } from '../../examples/baseline-watch/browsers.js';
import { SupportRemoved } from '../../examples/baseline-watch/events.js';
import { show } from '../../examples/baseline-watch/outcome.js';
import { SupportProjection } from '../../examples/baseline-watch/supportProjection.js';

@Projection({ name: 'support', version: 1, topics: [TOPIC] })
class ForgetfulProjection extends SupportProjection {
  @On(SupportRemoved) override removed(event: SupportRemoved, context: ProjectionContext<SqliteDatabase>): void {
    if (event.browser !== 'edge') super.removed(event, context);
  }
}

const every = Number(process.argv[2]);
process.exitCode = show(await baselineWatch({ ...DEFAULT_OPTIONS, every, projection: ForgetfulProjection }), false);
