/**
 * `mqadmin sendMsgStatus`, `checkMsgSendRT` and `clusterRT`: sends messages and tells how long each took. Upstream:
 * `SendMsgStatusCommand`, `CheckMsgSendRTCommand`, `CLusterSendMsgRTCommand`.
 */
import { messageOf } from '../../base/errors.js';
import { Producer } from '../../client/producer.js';
import type { CommandCall } from '../command.js';
import { allMasters, columns, requiredText, textOption, wholeOption, withAdmin } from './adminCall.js';

interface Trip {
  brokerName: string;
  queueId: number | string;
  status: string;
  millis: number;
  isStored: boolean;
}

/** To the topic that is named after the broker. */
export function status(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'brokerName');
  const size = wholeOption(call, 'messageSize', 128, 1);
  const count = wholeOption(call, 'count', 50, 1);
  return withTrips(call, async (send) => {
    // The first one opens the connection.
    await send(topic, 16);
    for (let sent = 0; sent < count; sent += 1) {
      const { millis, status, brokerName, queueId } = await send(topic, size);
      call.terminal.out(`rt=${millis}ms, SendResult=${status} [brokerName=${brokerName}, queueId=${queueId}]`);
    }
  });
}

const TOPIC_WIDTHS = [32, 4, 20, 16];

export function ofTopic(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const amount = wholeOption(call, 'amount', 100, 2);
  const size = wholeOption(call, 'size', 128, 1);
  return withTrips(call, async (send) => {
    call.terminal.out(columns(TOPIC_WIDTHS, ['#Broker Name', '#QID', '#Send Result', '#RT']));
    let total = 0;
    for (let sent = 0; sent < amount; sent += 1) {
      const { brokerName, queueId, isStored, millis } = await send(topic, size);
      // The first one opens the connection and does not count.
      if (sent > 0) total += millis;
      call.terminal.out(columns(TOPIC_WIDTHS, [brokerName, queueId, String(isStored), millis]));
    }
    call.terminal.out(`Avg RT: ${(total / (amount - 1)).toFixed(2)}`);
  });
}

const CLUSTER_WIDTHS = [24, 24, 8, 16, 16];

/** One round; RocketMQ's tool goes on for ever. */
export function ofCluster(call: CommandCall): Promise<number> {
  const amount = wholeOption(call, 'amount', 100, 1);
  const size = wholeOption(call, 'size', 128, 1);
  const cluster = textOption(call, 'cluster');
  return withTrips(call, async (send, masters) => {
    call.terminal.out(columns(CLUSTER_WIDTHS, ['#Cluster Name', '#Broker Name', '#RT', '#successCount', '#failCount']));
    for (const { cluster: name, brokerName } of await masters(cluster)) {
      await send(brokerName, size);
      let total = 0;
      let stored = 0;
      for (let sent = 0; sent < amount; sent += 1) {
        const { millis, isStored } = await send(brokerName, size);
        total += millis;
        if (isStored) stored += 1;
      }
      const cells = [name, brokerName, (total / amount).toFixed(2), stored, amount - stored];
      call.terminal.out(columns(CLUSTER_WIDTHS, cells));
    }
  });
}

type Send = (topic: string, size: number) => Promise<Trip>;
type Masters = (cluster: string | undefined) => ReturnType<typeof allMasters>;

function withTrips(call: CommandCall, body: (send: Send, masters: Masters) => Promise<void>): Promise<number> {
  const { clock } = call.terminal;
  return withAdmin(call, async (admin, session) => {
    const producer = new Producer({ session });
    const send: Send = async (topic, size) => {
      const begin = clock.monotonic();
      try {
        const { queue, status } = await producer.send({ topic, body: 'a'.repeat(size) });
        const { brokerName, queueId } = queue;
        return { brokerName, queueId, status, millis: Math.round(clock.monotonic() - begin), isStored: true };
      } catch (thrown) {
        const millis = Math.round(clock.monotonic() - begin);
        return { brokerName: '-', queueId: '-', status: messageOf(thrown), millis, isStored: false };
      }
    };
    await body(send, (cluster) => allMasters(admin, cluster));
  });
}
