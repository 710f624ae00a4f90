/** How much the broker holds. */
import { PullConsumer, type Session } from 'foldlog/client';

/** Messages stored in the topic. */
export async function storedIn(session: Session, topic: string): Promise<number> {
  const consumer = new PullConsumer({ session, group: 'watcher' });
  const queues = await consumer.fetchQueues(topic);
  const ends = await Promise.all(queues.map((queue) => consumer.maxOffset(queue)));
  return ends.reduce((sum, end) => sum + end, 0);
}
