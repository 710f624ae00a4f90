/**
 * The name server's table: one row per request code. Upstream: `DefaultRequestProcessor`, `ClientRequestProcessor`.
 * Every handler answers at once: no request waits, and none can be cut off from routes by a flood of others.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../base/clock.js';
import {
  decodeDataVersion,
  decodeRegisterBrokerBody,
  decodeTopicRouteData,
  encodeBrokerMemberGroup,
  encodeClusterInfo,
  encodeDataVersion,
  encodeKVTable,
  encodeTopicList,
  encodeTopicRouteData,
  isSameDataVersion,
  type TopicList,
} from '../protocol/bodies.js';
import type { HeaderOf } from '../protocol/headers/headerFields.js';
import { emptyHeader } from '../protocol/headers/messaging.js';
import * as headers from '../protocol/headers/namesrv.js';
import { ORDER_TOPIC_NAMESPACE } from '../protocol/names.js';
import type { ResponseFields } from '../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { type ProcessorRow, processor, type Request } from '../remoting/processor.js';
import type { BrokerRegistry } from './brokerRegistry.js';
import type { KvConfig } from './kvConfig.js';
import type { NamesrvSettings } from './namesrvSettings.js';
import type { RouteTables } from './routeTables.js';
import { addWritePermission, deleteTopic, registerTopic, wipeWritePermission } from './topicEdits.js';
import { allTopics, systemTopicsOf, topicsOfCluster, type UnitKind, unitTopics } from './topicLists.js';
import { clusterInfoOf, memberGroupOf, routeOf } from './topicRoutes.js';

/** From this version on (V4_9_4) a requester reads quoted map keys. Upstream: `ClientRequestProcessor`. */
const STANDARD_JSON_VERSION = 401;

const ROUTE_FAQ = 'See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.';

export interface NamesrvParts {
  tables: RouteTables;
  registry: BrokerRegistry;
  kvConfig: KvConfig;
  settings: NamesrvSettings;
  clock: Clock;
}

const { SUCCESS, SYSTEM_ERROR, TOPIC_NOT_EXIST, QUERY_NOT_FOUND } = RESPONSE_CODE;
const DONE: ResponseFields = { code: SUCCESS };
const lane = 'default';
/** No handler is ever under way, so the bound is never met. */
export const NAMESRV_LANES = { [lane]: { maxInFlight: 1 } } as const;

export function namesrvRows(parts: NamesrvParts): ProcessorRow[] {
  return [...brokerRows(parts), ...routeRows(parts), ...topicRows(parts), ...configRows(parts)];
}

function brokerRows({ tables, registry, kvConfig, settings }: NamesrvParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.REGISTER_BROKER,
      header: headers.registerBrokerHeader,
      lane,
      handle({ header, body, peer }) {
        if (!checksumMatches(body, header.bodyCrc32)) return { code: SYSTEM_ERROR, remark: 'crc32 not match' };
        const registration = decodeRegisterBrokerBody(body, { compressed: header.compressed ?? false });
        const outcome = registry.register({
          ...header,
          zoneName: header.__ZONE_NAME,
          dataVersion: registration.dataVersion,
          topics: [...registration.topicConfigTable.values()],
          filterServers: registration.filterServerList,
          peer,
        });
        if (outcome.status === 'REFUSED') return { code: SYSTEM_ERROR, remark: outcome.reason };
        const { masterAddr, haServerAddr } = outcome;
        const order = settings.values.returnOrderTopicConfigToBroker ? kvConfig.list(ORDER_TOPIC_NAMESPACE) : undefined;
        return {
          code: SUCCESS,
          extFields: headers.registerBrokerResponseHeader.encode({ masterAddr, haServerAddr }),
          ...(order && { body: encodeKVTable({ table: order }) }),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.UNREGISTER_BROKER,
      header: headers.unregisterBrokerHeader,
      lane,
      handle({ header }) {
        registry.unregister(header);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.BROKER_HEARTBEAT,
      header: headers.brokerHeartbeatHeader,
      lane,
      handle({ header }) {
        registry.heartbeat(header.clusterName, header.brokerAddr);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.QUERY_DATA_VERSION,
      header: headers.queryDataVersionHeader,
      lane,
      handle({ header, body }) {
        const stored = registry.versionOf(header.clusterName, header.brokerAddr);
        const changed = !stored || !isSameDataVersion(stored, decodeDataVersion(body));
        return {
          code: SUCCESS,
          extFields: headers.queryDataVersionResponseHeader.encode({ changed }),
          ...(stored && { body: encodeDataVersion(stored) }),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_CLUSTER_INFO,
      header: emptyHeader,
      lane,
      handle: () => ({ code: SUCCESS, body: encodeClusterInfo(clusterInfoOf(tables)) }),
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_MEMBER_GROUP,
      header: headers.getBrokerMemberGroupHeader,
      lane,
      handle({ header }) {
        const group = memberGroupOf(tables, header.clusterName, header.brokerName);
        return { code: SUCCESS, body: encodeBrokerMemberGroup(group) };
      },
    }),
    processor({
      code: REQUEST_CODE.WIPE_WRITE_PERM_OF_BROKER,
      header: headers.wipeWritePermOfBrokerHeader,
      lane,
      handle({ header }) {
        const wipeTopicCount = wipeWritePermission(tables, header.brokerName);
        return { code: SUCCESS, extFields: headers.wipeWritePermOfBrokerResponseHeader.encode({ wipeTopicCount }) };
      },
    }),
    processor({
      code: REQUEST_CODE.ADD_WRITE_PERM_OF_BROKER,
      header: headers.addWritePermOfBrokerHeader,
      lane,
      handle({ header }) {
        const addTopicCount = addWritePermission(tables, header.brokerName);
        return { code: SUCCESS, extFields: headers.addWritePermOfBrokerResponseHeader.encode({ addTopicCount }) };
      },
    }),
  ];
}

/** A checksum of 0, or none, is not checked. */
function checksumMatches(body: Buffer, expected: number | undefined): boolean {
  return !expected || (crc32(body) & 0x7fffffff) === expected;
}

function routeRows({ tables, kvConfig, settings, clock }: NamesrvParts): ProcessorRow[] {
  const startedMillis = clock.monotonic();
  const isReady = () =>
    !settings.values.needWaitForService ||
    clock.monotonic() - startedMillis >= settings.values.waitSecondsForService * 1000;
  const handle = ({ header, command }: Request<HeaderOf<typeof headers.getRouteInfoByTopicHeader.fields>>) => {
    if (!isReady()) return { code: SYSTEM_ERROR, remark: 'name server not ready' };
    const { topic, acceptStandardJsonOnly } = header;
    const { __ZONE_MODE: zoneMode, __ZONE_NAME: zoneName } = command.extFields;
    const route = routeOf(tables, topic, {
      supportActingMaster: settings.values.supportActingMaster,
      zoneName: zoneMode?.toLowerCase() === 'true' && zoneName ? zoneName : undefined,
    });
    if (!route) {
      return {
        code: TOPIC_NOT_EXIST,
        remark: `No topic route info in name server for the topic: ${topic}\n${ROUTE_FAQ}`,
      };
    }
    if (settings.values.orderMessageEnable) route.orderTopicConf = kvConfig.get(ORDER_TOPIC_NAMESPACE, topic);
    const readsStandard = command.version >= STANDARD_JSON_VERSION || acceptStandardJsonOnly === true;
    return { code: SUCCESS, body: encodeTopicRouteData(route, readsStandard ? 'standard' : 'fastjson') };
  };
  const header = headers.getRouteInfoByTopicHeader;
  return [processor({ code: REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, header, lane, handle })];
}

function topicRows({ tables, settings }: NamesrvParts): ProcessorRow[] {
  const disabled: ResponseFields = { code: SYSTEM_ERROR, remark: 'disable' };
  const listed = (list: TopicList): ResponseFields => ({ code: SUCCESS, body: encodeTopicList(list) });
  const unitRow = (code: number, kind: UnitKind): ProcessorRow =>
    processor({
      code,
      header: emptyHeader,
      lane,
      handle: () => (settings.values.enableTopicList ? listed(unitTopics(tables, kind)) : disabled),
    });
  return [
    processor({
      code: REQUEST_CODE.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      header: emptyHeader,
      lane,
      handle: () => (settings.values.enableAllTopicList ? listed(allTopics(tables)) : disabled),
    }),
    processor({
      code: REQUEST_CODE.GET_TOPICS_BY_CLUSTER,
      header: headers.getTopicsByClusterHeader,
      lane,
      handle: ({ header }) =>
        settings.values.enableTopicList ? listed(topicsOfCluster(tables, header.cluster)) : disabled,
    }),
    processor({
      code: REQUEST_CODE.GET_SYSTEM_TOPIC_LIST_FROM_NS,
      header: emptyHeader,
      lane,
      handle: () => listed(systemTopicsOf(tables)),
    }),
    unitRow(REQUEST_CODE.GET_UNIT_TOPIC_LIST, 'UNIT'),
    unitRow(REQUEST_CODE.GET_HAS_UNIT_SUB_TOPIC_LIST, 'UNIT_SUB'),
    unitRow(REQUEST_CODE.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, 'UNIT_SUB_WITHOUT_UNIT'),
    processor({
      code: REQUEST_CODE.DELETE_TOPIC_IN_NAMESRV,
      header: headers.deleteTopicInNamesrvHeader,
      lane,
      handle({ header }) {
        deleteTopic(tables, header.topic, header.clusterName);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.REGISTER_TOPIC_IN_NAMESRV,
      header: headers.registerTopicInNamesrvHeader,
      lane,
      handle({ header, body }) {
        if (body.length > 0) registerTopic(tables, header.topic, decodeTopicRouteData(body).queueDatas);
        return DONE;
      },
    }),
  ];
}

function configRows({ kvConfig, settings }: NamesrvParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.PUT_KV_CONFIG,
      header: headers.putKvConfigHeader,
      lane,
      handle({ header: { namespace, key, value } }) {
        if (!namespace || !key) return { code: SYSTEM_ERROR, remark: 'namespace or key is null' };
        kvConfig.put(namespace, key, value ?? '');
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.GET_KV_CONFIG,
      header: headers.getKvConfigHeader,
      lane,
      handle({ header: { namespace, key } }) {
        const value = kvConfig.get(namespace, key);
        return value === undefined
          ? { code: QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace} Key: ${key}` }
          : { code: SUCCESS, extFields: headers.getKvConfigResponseHeader.encode({ value }) };
      },
    }),
    processor({
      code: REQUEST_CODE.DELETE_KV_CONFIG,
      header: headers.deleteKvConfigHeader,
      lane,
      handle({ header: { namespace, key } }) {
        kvConfig.delete(namespace, key);
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.GET_KVLIST_BY_NAMESPACE,
      header: headers.getKvlistByNamespaceHeader,
      lane,
      handle({ header: { namespace } }) {
        const table = kvConfig.list(namespace);
        return table
          ? { code: SUCCESS, body: encodeKVTable({ table }) }
          : { code: QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace}` };
      },
    }),
    processor({
      code: REQUEST_CODE.UPDATE_NAMESRV_CONFIG,
      header: emptyHeader,
      lane,
      handle({ body }) {
        settings.update(body.toString());
        return DONE;
      },
    }),
    processor({
      code: REQUEST_CODE.GET_NAMESRV_CONFIG,
      header: emptyHeader,
      lane,
      handle: () => ({ code: SUCCESS, body: Buffer.from(settings.print()) }),
    }),
  ];
}
