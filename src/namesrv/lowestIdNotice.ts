/**
 * NOTIFY_MIN_BROKER_ID_CHANGE 905: tells the members of a broker group, one-way, that its lowest id is another one, so
 * that a slave may act as master or step back. A broker that came and has the lowest id itself is not told. Sent only
 * with `notifyMinBrokerIdChanged`. Upstream: `RouteInfoManager.notifyMinBrokerIdChanged`, `chooseBrokerAddrsToNotify`,
 * `NotifyMinBrokerIdChangeRequestHeader`.
 */
import { defineHeader, optional } from '../protocol/headers/headerFields.js';
import { requestCommand } from '../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { liveKey, lowestId, type RouteTables } from './routeTables.js';

export const notifyMinBrokerIdChangeHeader = defineHeader({
  minBrokerId: optional.long,
  brokerName: optional.string,
  minBrokerAddr: optional.string,
  /** The broker that left, if one did. */
  offlineBrokerAddr: optional.string,
  haBrokerAddr: optional.string,
});

export function notifyLowestId(tables: RouteTables, brokerName: string, offlineBrokerAddr: string | undefined): void {
  const group = tables.brokers.get(brokerName);
  const minBrokerId = lowestId(group);
  const minBrokerAddr = minBrokerId === undefined ? undefined : group?.addresses.get(minBrokerId);
  if (!group || minBrokerAddr === undefined) return;
  const haBrokerAddr = tables.live.get(liveKey(group.cluster, minBrokerAddr))?.haServerAddr;
  const header = { minBrokerId, brokerName, minBrokerAddr, offlineBrokerAddr, haBrokerAddr };
  for (const address of group.addresses.values()) {
    if (offlineBrokerAddr === undefined && address === minBrokerAddr) continue;
    const member = tables.live.get(liveKey(group.cluster, address));
    const extFields = notifyMinBrokerIdChangeHeader.encode(header);
    member?.peer.notify(requestCommand(REQUEST_CODE.NOTIFY_MIN_BROKER_ID_CHANGE, extFields));
  }
}
