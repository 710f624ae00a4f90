import { describe, expect, it } from 'vitest';
import { changedAttributes } from '../../src/broker/topicAttributes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';

describe('topic attributes', () => {
  it('are added, altered and deleted', () => {
    const added = changedAttributes({}, '+message.type=FIFO, +reserve.time=1000');
    expect(added).toEqual({ 'message.type': 'FIFO', 'reserve.time': '1000' });
    expect(changedAttributes(added, '+message.type=NORMAL,-reserve.time')).toEqual({ 'message.type': 'NORMAL' });
    expect(changedAttributes(added, undefined)).toEqual(added);
  });

  it.each([
    ['+foo=1', 'unsupported key: foo'],
    ['+__proto__=1', 'unsupported key: __proto__'],
    ['foldlog.events=true', 'attribute foldlog.events=true must start with + or -'],
    ['+foldlog.queues=4', 'unsupported key: foldlog.queues'],
    ['+foldlog.events=false', 'foldlog.events=false is not one of true'],
    ['-foldlog.events', 'attempt to delete an unchangeable attribute: foldlog.events'],
    ['+queue.type=BatchCQ', 'queue.type=BatchCQ is not available in this version'],
    ['+message.type', 'attribute message.type has no value'],
    ['+message.type=ODD', 'message.type=ODD is not one of UNSPECIFIED, NORMAL, FIFO, DELAY, TRANSACTION'],
    ['-reserve.time', 'attribute reserve.time cannot be deleted: the topic does not have it'],
  ])('%s is refused', (changes, remark) => {
    expect(() => changedAttributes({ 'foldlog.events': 'true' }, changes)).toThrow(remark);
  });

  it('mixed messages are refused as a parameter (AdminBrokerProcessor, enableMixedMessageType)', () => {
    expect(() => changedAttributes({}, '+message.type=MIXED')).toThrow(
      expect.objectContaining({ responseCode: RESPONSE_CODE.INVALID_PARAMETER }),
    );
  });
});
