/**
 * `mqadmin queryMsgById`: everything about one message; its body is written to a file. Upstream: `QueryMsgByIdSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import { joinPath } from '../../base/files.js';
import type { ReceivedMessage } from '../../client/clientTypes.js';
import type { CommandCall } from '../command.js';
import { localTime, requiredText, withAdmin } from './adminCall.js';

const BODY_DIRECTORY = '/tmp/rocketmq/msgbodys';

export function run(call: CommandCall): Promise<number> {
  const topic = requiredText(call, 'topic');
  const msgId = requiredText(call, 'msgId');
  return withAdmin(call, async (admin) => {
    const message = await admin.viewMessage(topic, msgId);
    if (!message)
      throw new FoldlogError('TOPIC_NOT_FOUND', `no message ${msgId} is found in topic ${topic}`, { msgId });
    const bodyFile = writeBody(message, call);
    for (const [name, value] of detailsOf(message, bodyFile)) call.terminal.out(`${`${name}:`.padEnd(20)} ${value}`);
  });
}

function detailsOf(message: ReceivedMessage, bodyFile: string): [string, string | number][] {
  const host = (address: ReceivedMessage['bornHost']) => `${address.host}:${address.port}`;
  return [
    ['OffsetID', message.offsetMsgId],
    ['Topic', message.topic],
    ['Tags', `[${message.tags ?? 'null'}]`],
    ['Keys', `[${message.keys.join(' ') || 'null'}]`],
    ['Queue ID', message.queueId],
    ['Queue Offset', message.queueOffset],
    ['CommitLog Offset', message.commitLogOffset],
    ['Reconsume Times', message.reconsumeTimes],
    ['Born Timestamp', localTime(message.bornTimestamp)],
    ['Store Timestamp', localTime(message.storeTimestamp)],
    ['Born Host', host(message.bornHost)],
    ['Store Host', host(message.storeHost)],
    ['System Flag', message.sysFlag],
    ['Properties', JSON.stringify(message.properties)],
    ['Message Body Path', bodyFile],
  ];
}

/** The name is made of the message's own id, which another program chose: no character of it leaves the directory. */
function writeBody({ msgId, body }: ReceivedMessage, { terminal }: CommandCall): string {
  const file = joinPath(BODY_DIRECTORY, msgId.replaceAll(/[^A-Za-z0-9_-]/g, '_'));
  terminal.files.makeDirectory(BODY_DIRECTORY);
  terminal.files.writeFile(file, body);
  return file;
}
