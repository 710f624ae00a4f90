/** A subscription group's configuration as RocketMQ's tools print it. Upstream: `SubscriptionGroupConfig.toString`. */
export function groupConfigText(config: object): string {
  const members = Object.entries(config).map(([name, value]) => `${name}=${textOf(value)}`);
  return `SubscriptionGroupConfig{${members.join(', ')}}`;
}

export function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
