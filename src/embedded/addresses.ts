/** The addresses of this machine, for servers that listen on all of them. */
import { networkInterfaces } from 'node:os';
import type { HostAddress } from '../protocol/message.js';

const ANY_HOST = ['0.0.0.0', '::'];

/** The first address that others can reach; what a broker on all addresses announces. */
export function localAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = addresses.filter(({ internal }) => !internal);
  return (outside.find(({ family }) => family === 'IPv4') ?? outside[0])?.address;
}

/** `host:port` as others may use it. */
export function reachableAddress({ host, port }: HostAddress): string {
  return `${ANY_HOST.includes(host) ? (localAddress() ?? host) : host}:${port}`;
}
