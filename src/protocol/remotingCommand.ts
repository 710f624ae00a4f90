/**
 * One request or response of the remoting protocol, as a value. Its bytes are made and read by `frame.ts`, its
 * header text by `headerCodec.ts`. Upstream: `RemotingCommand`.
 */

/** MQVersion ordinal of V5_5_0, which foldlog sends as its own version. */
export const PROTOCOL_VERSION = 513;

export const COMMAND_FLAG = { RESPONSE: 1, ONEWAY: 2 } as const;

export type SerializeType = 'JSON' | 'ROCKETMQ';

export interface RemotingCommand {
  /** Request code or response code. */
  code: number;
  /** LanguageCode name of the sender; foldlog sends `OTHER` as a client and `JAVA` as a server, like upstream's. */
  language: string;
  /** MQVersion ordinal of the sender. */
  version: number;
  /** Chosen by the requester, echoed by the response. 32 bits, wraps. */
  opaque: number;
  /** Bits of {@link COMMAND_FLAG}. */
  flag: number;
  remark: string | undefined;
  /** The command's header fields, all as text. */
  extFields: Record<string, string>;
  /** Empty when there is none. */
  body: Buffer;
  /** How the header was or is to be encoded. */
  serializeType: SerializeType;
}

const NO_BODY = Buffer.alloc(0);

let lastOpaque = 0;

/** A fresh request with the next opaque of this process. */
export function requestCommand(
  code: number,
  extFields: Record<string, string> = {},
  body: Buffer = NO_BODY,
): RemotingCommand {
  lastOpaque = (lastOpaque + 1) | 0;
  return {
    code,
    language: 'OTHER',
    version: PROTOCOL_VERSION,
    opaque: lastOpaque,
    flag: 0,
    remark: undefined,
    extFields,
    body,
    serializeType: 'JSON',
  };
}

/** What a processor answers; the processor table makes the response command of it. */
export interface ResponseFields {
  code: number;
  remark?: string | undefined;
  extFields?: Record<string, string>;
  body?: Buffer;
}

/** The response to `request`, in the requester's header type. */
export function responseCommand(request: RemotingCommand, fields: ResponseFields): RemotingCommand {
  return {
    code: fields.code,
    language: 'JAVA',
    version: PROTOCOL_VERSION,
    opaque: request.opaque,
    flag: COMMAND_FLAG.RESPONSE,
    remark: fields.remark,
    extFields: fields.extFields ?? {},
    body: fields.body ?? NO_BODY,
    serializeType: request.serializeType,
  };
}

export function isResponse(command: RemotingCommand): boolean {
  return (command.flag & COMMAND_FLAG.RESPONSE) !== 0;
}

export function isOneway(command: RemotingCommand): boolean {
  return (command.flag & COMMAND_FLAG.ONEWAY) !== 0;
}
