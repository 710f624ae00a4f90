// A broker's message ids name its address and any place of a log, also where the log is longer than 4 GiB.
import { expect, it } from 'vitest';
import { BrokerIdentity } from '../../src/broker/brokerIdentity.js';
import { decodeOffsetMsgId, encodeOffsetMsgId } from '../../src/protocol/messageId.js';

it('message ids are those of the address and the place', () => {
  const identity = new BrokerIdentity({ clusterName: 'Cluster', brokerName: 'broker-a', host: '127.0.0.1' });
  identity.listensOn(10_911);
  for (const place of [0, 1, 255, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 2 ** 32, 2 ** 32 + 1, 5, 2 ** 53 - 1]) {
    const id = identity.messageIdOf(place);
    expect(id).toBe(encodeOffsetMsgId(identity.storeHost, place));
    expect(decodeOffsetMsgId(id)).toEqual({ host: identity.address, commitLogOffset: place });
  }
});
