import { describe, expect, it } from 'vitest';
import { type StreamView, StreamViews } from '../../src/eventstore/streamViews.js';

function view(events: number, state: string | undefined = 'state'): StreamView<string> {
  return {
    state,
    version: events,
    position: { commitLogOffset: 0, generation: 1, brokerName: 'b', queueId: 0, queueOffset: 0 },
    newest: { eventId: '', storedAt: 0, storedUntil: 0 },
    snapshot: { version: 0, storedAt: 0 },
    end: { commitLogOffset: 0, generation: 1 },
    history: Array.from({ length: events }, (_, index) => ({ event: {}, eventId: `e-${index}` })),
  };
}

describe('StreamViews', () => {
  it('hands a view out once', () => {
    const views = new StreamViews<string>();
    views.put('a', view(1));
    expect(views.take('a')).toBeDefined();
    expect(views.take('a')).toBeUndefined();
  });

  it('forgets the least recently used stream beyond the bound', () => {
    const views = new StreamViews<string>({ streams: 2 });
    views.put('a', view(1));
    views.put('b', view(1));
    views.put('a', views.take('a')!);
    views.put('c', view(1));
    expect([views.peek('a'), views.peek('b'), views.peek('c')].map((one) => one !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('forgets streams when their events together are too many', () => {
    const views = new StreamViews<string>({ events: 10 });
    views.put('a', view(4));
    views.put('b', view(4));
    views.put('c', view(4));
    expect(views.size).toBe(2);
    // Growing while it is out counts when it comes back.
    const b = views.take('b')!;
    b.history?.push(...view(6).history!);
    views.put('b', b);
    expect(views.size).toBe(1);
    expect(views.peek('b')).toBe(b);
  });

  it('does not keep a view from which nothing can start', () => {
    const views = new StreamViews<string>();
    views.put('a', { ...view(0), state: undefined, history: undefined });
    expect(views.size).toBe(0);
  });
});
