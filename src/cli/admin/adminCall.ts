/**
 * What the admin commands share: a session with the name servers that are asked for, options as values, and columns.
 */
import { FoldlogError } from '../../base/errors.js';
import { Admin } from '../../client/admin.js';
import { Session } from '../../client/session.js';
import type { CommandCall } from '../command.js';
import { EXIT, usageError } from '../errorLine.js';

/** Namespace of the KV configuration that holds `brokerName:queueCount;...` per ordered topic. */
export const ORDER_TOPIC_NAMESPACE = 'ORDER_TOPIC_CONFIG';

/** The consumer group of tools. */
export const TOOLS_GROUP = 'TOOLS_CONSUMER';

/** Runs the body with a session to the name servers of `-n` or NAMESRV_ADDR. */
export async function withAdmin(
  { options, terminal, logger }: CommandCall,
  body: (admin: Admin, session: Session) => Promise<void>,
): Promise<number> {
  const namesrvAddr = String(options['namesrvAddr'] ?? terminal.env['NAMESRV_ADDR'] ?? '');
  if (namesrvAddr === '') throw usageError('which name server? give -n HOST:PORT or set NAMESRV_ADDR');
  logger.release();
  await using session = await Session.open({ namesrvAddr, logger });
  await body(new Admin(session), session);
  return EXIT.DONE;
}

export function textOption({ options }: CommandCall, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** An option that commander has made sure of. */
export function requiredText(call: CommandCall, name: string): string {
  const value = textOption(call, name);
  if (value === undefined) throw usageError(`--${name} is missing`);
  return value;
}

/** A whole number from `min`, or the default. */
export function wholeOption(call: CommandCall, name: string, standard: number, min = 0): number {
  const value = textOption(call, name);
  if (value === undefined) return standard;
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || !Number.isSafeInteger(number)) {
    throw usageError(`--${name} ${value}: must be a whole number from ${min}`);
  }
  return number;
}

/** A switch that is written out: `true` or `false`. */
export function flagOption(call: CommandCall, name: string, standard: boolean): boolean {
  const value = textOption(call, name);
  if (value === undefined) return standard;
  if (value !== 'true' && value !== 'false') throw usageError(`--${name} ${value}: must be true or false`);
  return value === 'true';
}

/** A point in time: milliseconds, `now`, or `yyyy-MM-dd#HH:mm:ss:SSS` in local time. */
export function timeOption(call: CommandCall, name: string): number | undefined {
  const value = textOption(call, name);
  if (value === undefined) return undefined;
  if (value === 'now' || value === 'currentTimeMillis') return call.terminal.clock.now();
  if (/^\d+$/.test(value)) return Number(value);
  const parts = /^(\d{4})-(\d\d)-(\d\d)#(\d\d):(\d\d):(\d\d):(\d{3})$/.exec(value)?.slice(1).map(Number);
  const [year = 0, month = 1, day, hour, minute, second, milli] = parts ?? [];
  const time = parts ? new Date(year, month - 1, day, hour, minute, second, milli).getTime() : Number.NaN;
  if (Number.isNaN(time)) throw usageError(`--${name} ${value}: must be now, milliseconds or yyyy-MM-dd#HH:mm:ss:SSS`);
  return time;
}

/** The route of a topic; an error when no name server has one. */
export async function routeOrRefuse(admin: Admin, topic: string): Promise<TopicRoute> {
  const route = await admin.topicRoute(topic);
  if (route) return route;
  throw new FoldlogError('TOPIC_NOT_FOUND', `no name server knows a route for topic ${topic}`, { topic });
}

/** Masters of all clusters, or of one, in the order of their names. */
export async function allMasters(admin: Admin, clusterName?: string): Promise<Master[]> {
  const { brokerAddrTable } = await admin.clusterInfo();
  return [...brokerAddrTable.values()]
    .filter(({ cluster }) => clusterName === undefined || cluster === clusterName)
    .flatMap(({ cluster, brokerName, brokerAddrs }) => {
      const address = brokerAddrs.get(0);
      return address === undefined ? [] : [{ cluster, brokerName, address }];
    })
    .sort((left, right) => (left.brokerName < right.brokerName ? -1 : 1));
}

export interface Master {
  cluster: string;
  brokerName: string;
  address: string;
}

type TopicRoute = NonNullable<Awaited<ReturnType<Admin['topicRoute']>>>;

/** Addresses of the masters: one broker, or all of a cluster. */
export async function masterAddresses(admin: Admin, call: CommandCall): Promise<string[]> {
  const brokerAddr = textOption(call, 'brokerAddr');
  if (brokerAddr !== undefined) return [brokerAddr];
  const clusterName = textOption(call, 'clusterName');
  if (clusterName === undefined) throw usageError('on which brokers? give -b ADDRESS or -c CLUSTER');
  const { brokerAddrTable, clusterAddrTable } = await admin.clusterInfo();
  const names = clusterAddrTable.get(clusterName);
  if (!names) throw usageError(`no cluster ${clusterName} is registered: there is ${known(clusterAddrTable.keys())}`);
  return names.flatMap((name) => brokerAddrTable.get(name)?.brokerAddrs.get(0) ?? []);
}

function known(names: Iterable<string>): string {
  return [...names].join(', ') || 'none';
}

/** Cells padded to RocketMQ's column widths, two blanks between. */
export function columns(widths: readonly number[], cells: readonly (string | number)[]): string {
  return cells
    .map((cell, index) => String(cell).padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();
}

/** `2026-11-23 09:00:01,525` in local time, as RocketMQ's tools print times. */
export function localTime(millis: number): string {
  const time = new Date(millis);
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${date} ${clock},${String(time.getMilliseconds()).padStart(3, '0')}`;
}
