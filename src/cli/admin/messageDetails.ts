/**
 * Everything about one message, as RocketMQ's tools print it; the body is written to a file. Upstream:
 * `QueryMsgByIdSubCommand`.
 */
import { FoldlogError } from '../../base/errors.js';
import { joinPath } from '../../base/files.js';
import type { ReceivedMessage } from '../../client/clientTypes.js';
import type { CommandCall } from '../command.js';
import { localTime } from './adminCall.js';

const BODY_DIRECTORY = '/tmp/rocketmq/msgbodys';

export function messageNotFound(topic: string, msgId: string): FoldlogError {
  return new FoldlogError('TOPIC_NOT_FOUND', `no message ${msgId} is found in topic ${topic}`, { msgId });
}

export function printDetails(message: ReceivedMessage, call: CommandCall): void {
  const bodyFile = writeBody(message, call);
  for (const [name, value] of detailsOf(message, bodyFile)) call.terminal.out(`${`${name}:`.padEnd(20)} ${value}`);
}

/** One line about a message, for the commands that print many. */
export function messageLine(message: ReceivedMessage, withBody: boolean): string {
  const { msgId, brokerName, queueId, queueOffset, tags, keys, bornTimestamp, storeTimestamp, body } = message;
  const place = `brokerName=${brokerName}, queueId=${queueId}, queueOffset=${queueOffset}`;
  const times = `bornTimestamp=${bornTimestamp}, storeTimestamp=${storeTimestamp}`;
  const line = `MSGID: ${msgId} [${place}, tags=${tags ?? 'null'}, keys=${keys.join(' ') || 'null'}, ${times}]`;
  return withBody ? `${line} BODY: ${body.toString()}` : line;
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
