import { describe, expect, it } from 'vitest';
import { OptionsError } from '../../src/base/errors.js';
import * as names from '../../src/protocol/names.js';

describe('topics', () => {
  it.each(['T', 'a-b_c|d%e', '0'.repeat(127), `%RETRY%${'g'.repeat(247)}`, `%DLQ%${'g'.repeat(250)}`])(
    '%s is legal',
    (topic) => {
      expect(names.topicDefect(topic)).toBeUndefined();
      expect(() => names.assertTopic(topic)).not.toThrow();
    },
  );

  it('are refused in upstream’s words', () => {
    expect(names.topicDefect('a.b')).toBe(
      'The specified topic: a.b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$',
    );
    expect(names.topicDefect(' ')).toBe('The specified topic is blank.');
    expect(names.topicDefect('a'.repeat(128))).toContain('127');
    expect(names.topicDefect(`%RETRY%${'g'.repeat(249)}`)).toContain('255');
    expect(names.topicDefect('ü')).toContain('illegal characters');
    expect(names.topicDefect('a\n')).toContain('illegal characters');
    expect(() => names.assertTopic('a b')).toThrow(OptionsError);
  });

  it('of the system are known by name or prefix', () => {
    for (const topic of ['TBW102', 'SCHEDULE_TOPIC_XXXX', 'rmq_sys_anything', 'BenchmarkTest']) {
      expect(names.isSystemTopic(topic)).toBe(true);
    }
    expect(names.isSystemTopic('orders')).toBe(false);
    expect(names.isForbiddenToSend('SCHEDULE_TOPIC_XXXX')).toBe(true);
    expect(names.isForbiddenToSend('TBW102')).toBe(false);
  });

  it('for retries and dead letters follow from the group', () => {
    expect(names.retryTopicOf('G')).toBe('%RETRY%G');
    expect(names.deadLetterTopicOf('G')).toBe('%DLQ%G');
    expect(names.groupOfRetryTopic('%RETRY%G')).toBe('G');
    expect(names.groupOfRetryTopic('orders')).toBeUndefined();
    expect(names.replyTopicOf('C')).toBe('C_REPLY_TOPIC');
  });
});

describe('groups', () => {
  it('have upstream’s limits', () => {
    expect(names.groupDefect('g'.repeat(120))).toBeUndefined();
    expect(names.groupDefect('g'.repeat(121))).toContain('120');
    expect(names.groupDefect('')).toContain('blank');
    expect(names.groupDefect('a b')).toContain('illegal');
    expect(() => names.assertGroup('a b')).toThrow(OptionsError);
    expect(names.isSystemGroup('CID_RMQ_SYS_TRANS')).toBe(true);
  });
});

describe('permissions', () => {
  it.each([
    [7, 'RWX'],
    [6, 'RW-'],
    [4, 'R--'],
    [2, '-W-'],
    [0, '---'],
  ])('%i prints as %s', (perm, text) => expect(names.permText(perm)).toBe(text));
});
