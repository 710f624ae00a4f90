/**
 * The limit of any broker on Node.js: a TCP server, name server and broker in one, that parses the JSON header of a frame
 * and answers a send from a template. It checks, stores and counts nothing. Answers of one read leave in one write.
 * Ready when it prints `ready namesrv=host:port`.
 */
import { createServer, type Socket } from 'node:net';

const SEND_MESSAGE_V2 = 310;
const SEND_MESSAGE = 10;
const GET_ROUTEINFO_BY_TOPIC = 105;
const ONEWAY = 2;

interface Header {
  code: number;
  flag: number;
  opaque: number;
  extFields?: Record<string, string>;
}

let routes: Buffer = Buffer.alloc(0);
const NO_BODY = Buffer.alloc(0);
const SENT_BEFORE_QUEUE =
  '{"code":0,"extFields":{"MSG_REGION":"DefaultRegion","TRACE_ON":"true","msgId":"7F00000100002A9F0000000000000000","queueId":"';
const SENT_BEFORE_KEY =
  '","queueOffset":"0","transactionId":"7F0000010000000000000000000000000000"},"flag":1,"language":"JAVA","opaque":';
const END = ',"serializeTypeCurrentRPC":"JSON","version":513}';

function answerTo(header: Header): Buffer {
  const { code, opaque, extFields } = header;
  if (code === SEND_MESSAGE_V2 || code === SEND_MESSAGE) {
    const queueId = extFields?.['e'] ?? extFields?.['queueId'] ?? '0';
    return frameOf(SENT_BEFORE_QUEUE + queueId + SENT_BEFORE_KEY + opaque + END, NO_BODY);
  }
  const body = code === GET_ROUTEINFO_BY_TOPIC ? routes : NO_BODY;
  return frameOf(`{"code":0,"flag":1,"language":"JAVA","opaque":${opaque}${END}`, body);
}

function frameOf(header: string, body: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(8 + header.length + body.length);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(header.length, 4);
  frame.write(header, 8, 'latin1');
  body.copy(frame, 8 + header.length);
  return frame;
}

class Peer {
  #rest: Buffer = NO_BODY;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const answers: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= 8) {
      const end = at + 4 + bytes.readInt32BE(at);
      if (end > bytes.length) break;
      const headerBytes = bytes.readInt32BE(at + 4) & 0xff_ffff;
      const header = JSON.parse(bytes.toString('latin1', at + 8, at + 8 + headerBytes)) as Header;
      if ((header.flag & ONEWAY) === 0) answers.push(answerTo(header));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    if (answers.length > 0) this.#socket.write(Buffer.concat(answers));
  }
}

const server = createServer({ noDelay: true, highWaterMark: 256 * 1024 }, (socket) => {
  const peer = new Peer(socket);
  socket.on('data', (chunk: Buffer) => peer.receive(chunk));
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => {
  const bound = server.address();
  const address = `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`;
  const route = {
    brokerDatas: [{ brokerAddrs: { 0: address }, brokerName: 'bare', cluster: 'bare', enableActingMaster: false }],
    filterServerTable: {},
    queueDatas: [{ brokerName: 'bare', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 4 }],
  };
  routes = Buffer.from(JSON.stringify(route));
  process.stdout.write(`ready namesrv=${address}\n`);
});
