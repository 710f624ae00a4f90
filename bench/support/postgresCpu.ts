/** CPU time of a PostgreSQL server on this machine: of its first process and all that it began, read from /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';

const MILLIS_PER_TICK = 10;

/** How much it has taken so far, to be asked again and again. */
export async function postgresCpuMillis(url: string): Promise<() => number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const server = statOf(String(rows[0]?.pid))?.parent;
  await client.end();
  if (server === undefined)
    throw new Error('the CPU time of PostgreSQL is read from /proc: it has to run on this machine');
  return () => {
    let ticks = 0;
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const stat = statOf(pid);
      // Those that have ended are counted by the first process.
      if (pid === server) ticks += (stat?.ticks ?? 0) + (stat?.childTicks ?? 0);
      else if (stat?.parent === server) ticks += stat.ticks;
    }
    return ticks * MILLIS_PER_TICK;
  };
}

function statOf(pid: string): { parent: string; ticks: number; childTicks: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name of the program, in parentheses, may hold blanks.
  const [, parent = '', ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = rest.slice(9, 13).map(Number);
  return { parent, ticks: user + system, childTicks: childUser + childSystem };
}
