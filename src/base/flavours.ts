/**
 * Numbers that cannot be mixed up, without casts: a plain number may be used as a flavoured one, but a
 * `QueueOffset` is not a `CommitLogOffset`. All are safe integers, checked once where they are decoded.
 */
type Flavour<Name extends string> = number & { readonly __flavour?: Name };

/** Byte position of a record in the commit log of one broker: the total order of everything stored there. */
export type CommitLogOffset = Flavour<'CommitLogOffset'>;
/** Number of a message in its queue, from 0, dense. */
export type QueueOffset = Flavour<'QueueOffset'>;
/** Milliseconds since the Unix epoch. */
export type TimestampMillis = Flavour<'TimestampMillis'>;
/** Number of an event in its stream: the first has 1, an empty stream is at 0. */
export type StreamVersion = Flavour<'StreamVersion'>;
