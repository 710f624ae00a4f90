/**
 * Headers of the name server's requests. GET_BROKER_CLUSTER_INFO 106, GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206 and
 * GET_SYSTEM_TOPIC_LIST_FROM_NS 304 have none and use `emptyHeader`. Upstream: `RegisterBrokerRequestHeader`,
 * `GetRouteInfoRequestHeader`, `PutKVConfigRequestHeader` and their neighbours.
 */
import { defineHeader, field, optional } from './headerFields.js';

/** REGISTER_BROKER 103. */
export const registerBrokerHeader = defineHeader({
  brokerName: field.string,
  brokerAddr: field.string,
  clusterName: field.string,
  haServerAddr: field.string,
  /** 0 is the master. */
  brokerId: field.long,
  heartbeatTimeoutMillis: optional.long,
  /** Absent: a broker before 5.0. */
  enableActingMaster: optional.boolean,
  /** Is the body in the compressed form? Absent means no. */
  compressed: optional.boolean,
  /** CRC-32 of the body as sent, without the sign bit; 0 or absent: not checked. */
  bodyCrc32: optional.int,
  __ZONE_NAME: optional.string,
});

/** Filled for slaves only. */
export const registerBrokerResponseHeader = defineHeader({
  haServerAddr: optional.string,
  masterAddr: optional.string,
});

/** UNREGISTER_BROKER 104. */
export const unregisterBrokerHeader = defineHeader({
  brokerName: field.string,
  brokerAddr: field.string,
  clusterName: field.string,
  brokerId: field.long,
});

/** QUERY_DATA_VERSION 322; the data version is the body. */
export const queryDataVersionHeader = defineHeader({
  brokerName: field.string,
  brokerAddr: field.string,
  clusterName: field.string,
  brokerId: field.long,
});
export const queryDataVersionResponseHeader = defineHeader({ changed: field.boolean });

/** BROKER_HEARTBEAT 904. */
export const brokerHeartbeatHeader = defineHeader({
  clusterName: field.string,
  brokerAddr: field.string,
  brokerName: field.string,
  brokerId: optional.long,
  epoch: optional.int,
  maxOffset: optional.long,
  confirmOffset: optional.long,
  heartbeatTimeoutMills: optional.long,
  electionPriority: optional.int,
});

/** GET_BROKER_MEMBER_GROUP 901. */
export const getBrokerMemberGroupHeader = defineHeader({ clusterName: field.string, brokerName: field.string });

/** GET_ROUTEINFO_BY_TOPIC 105. */
export const getRouteInfoByTopicHeader = defineHeader({
  topic: field.string,
  /** Ask for quoted map keys whatever the sender's version. */
  acceptStandardJsonOnly: optional.boolean,
});

/** PUT_KV_CONFIG 100. All three optional: without namespace or key the name server answers with its own remark. */
export const putKvConfigHeader = defineHeader({
  namespace: optional.string,
  key: optional.string,
  value: optional.string,
});

/** GET_KV_CONFIG 101. */
export const getKvConfigHeader = defineHeader({ namespace: field.string, key: field.string });
export const getKvConfigResponseHeader = defineHeader({ value: optional.string });

/** DELETE_KV_CONFIG 102. */
export const deleteKvConfigHeader = defineHeader({ namespace: field.string, key: field.string });

/** GET_KVLIST_BY_NAMESPACE 219. */
export const getKvlistByNamespaceHeader = defineHeader({ namespace: field.string });

/** WIPE_WRITE_PERM_OF_BROKER 205. */
export const wipeWritePermOfBrokerHeader = defineHeader({ brokerName: field.string });
export const wipeWritePermOfBrokerResponseHeader = defineHeader({ wipeTopicCount: field.int });

/** ADD_WRITE_PERM_OF_BROKER 327. */
export const addWritePermOfBrokerHeader = defineHeader({ brokerName: field.string });
export const addWritePermOfBrokerResponseHeader = defineHeader({ addTopicCount: field.int });

/** DELETE_TOPIC_IN_NAMESRV 216. */
export const deleteTopicInNamesrvHeader = defineHeader({ topic: field.string, clusterName: optional.string });

/** REGISTER_TOPIC_IN_NAMESRV 217; the route is the body. */
export const registerTopicInNamesrvHeader = defineHeader({ topic: field.string });

/** GET_TOPICS_BY_CLUSTER 224. */
export const getTopicsByClusterHeader = defineHeader({ cluster: field.string });
