/** How far a consumer group or projection is behind the log, seen from one application. */
export interface GroupLag {
  /** Consumer group; of a projection the one it consumes as. */
  group: string;
  /** Messages in its queues here from the first that is for the group and not settled on. */
  behind: number;
  /** Queues of its topics that other members have, or that are not assigned yet. */
  unassigned: number;
  /** Sum of the ends of its queues here. */
  end: number;
}
