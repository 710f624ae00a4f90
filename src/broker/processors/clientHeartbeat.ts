/**
 * Membership: HEART_BEAT 34, UNREGISTER_CLIENT 35, GET_CONSUMER_LIST_BY_GROUP 38, CHECK_CLIENT_CONFIG 46, and the
 * lists of connections that tools ask for (203, 204). Upstream: `ClientManageProcessor`, `ConsumerManageProcessor`.
 */

import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { ConsumerData } from '../../protocol/bodies.js';
import { decodeCheckClientBody, decodeHeartbeatData, encodeConsumerList } from '../../protocol/bodies.js';
import { getConsumerConnectionListHeader, getProducerConnectionListHeader } from '../../protocol/headers/admin.js';
import {
  getConsumerListByGroupHeader,
  heartBeatResponseHeader,
  unregisterClientHeader,
} from '../../protocol/headers/group.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import { groupDefect, retryTopicOf } from '../../protocol/names.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import { isTagType } from '../../protocol/subscription.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { ClientDescription, ConnectedClients, Member } from '../connectedClients.js';
import { filterOf } from '../subscriptionFilter.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

export interface ClientHeartbeatParts {
  clients: ConnectedClients;
  groups: SubscriptionGroups;
  topics: Topics;
  config: Pick<BrokerConfig, 'enablePropertyFilter'>;
}

export function clientHeartbeatRows(parts: ClientHeartbeatParts): ProcessorRow[] {
  const { clients, config } = parts;
  return [
    processor({
      code: REQUEST_CODE.HEART_BEAT,
      header: emptyHeader,
      lane: 'heartbeat',
      handle({ command, body, peer }) {
        const heartbeat = decodeHeartbeatData(body);
        const { language, version } = command;
        const client: ClientDescription = { clientId: heartbeat.clientID, language, version };
        let isChanged = false;
        for (const data of heartbeat.consumerDataSet) {
          if (!prepareGroup(parts, data)) continue;
          if (clients.registerConsumer(data, client, peer, !heartbeat.withoutSub)) isChanged = true;
        }
        for (const { groupName } of heartbeat.producerDataSet) {
          if (groupDefect(groupName) === undefined) clients.registerProducer(groupName, client, peer);
        }
        return {
          code: RESPONSE_CODE.SUCCESS,
          // Clients that send fingerprints repeat their subscriptions when the broker says that they changed.
          extFields: heartBeatResponseHeader.encode({
            IS_SUPPORT_HEART_BEAT_V2: true,
            IS_SUB_CHANGE: isChanged || heartbeat.heartbeatFingerprint === 0,
          }),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.UNREGISTER_CLIENT,
      header: unregisterClientHeader,
      lane: 'client',
      handle({ header, peer }) {
        clients.unregister(peer, header);
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP,
      header: getConsumerListByGroupHeader,
      lane: 'consumer',
      handle({ header: { consumerGroup } }) {
        const consumerIdList = clients.clientIds(consumerGroup);
        if (consumerIdList.length > 0) {
          return { code: RESPONSE_CODE.SUCCESS, body: encodeConsumerList({ consumerIdList }) };
        }
        return { code: RESPONSE_CODE.SYSTEM_ERROR, remark: `no consumer for this group, ${consumerGroup}` };
      },
    }),
    processor({
      code: REQUEST_CODE.CHECK_CLIENT_CONFIG,
      header: emptyHeader,
      lane: 'client',
      handle({ body }) {
        const { subscriptionData } = decodeCheckClientBody(body);
        if (isTagType(subscriptionData.expressionType)) return { code: RESPONSE_CODE.SUCCESS };
        if (!config.enablePropertyFilter) {
          return {
            code: RESPONSE_CODE.SYSTEM_ERROR,
            remark: `The broker does not support consumer to filter message by ${subscriptionData.expressionType}`,
          };
        }
        const { defect } = filterOf(subscriptionData);
        if (defect === undefined) return { code: RESPONSE_CODE.SUCCESS };
        return { code: RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED, remark: defect };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_CONSUMER_CONNECTION_LIST,
      header: getConsumerConnectionListHeader,
      lane: 'admin',
      handle({ header: { consumerGroup } }) {
        const group = clients.consumerGroup(consumerGroup);
        if (!group) {
          return {
            code: RESPONSE_CODE.CONSUMER_NOT_ONLINE,
            remark: `the consumer group[${consumerGroup}] not online`,
          };
        }
        const { consumeType, messageModel, consumeFromWhere } = group;
        const subscriptions = [...group.subscriptions].map(([topic, { data }]) => [topic, data] as const);
        const body = {
          connectionSet: connectionsOf(group.members.values()),
          consumeFromWhere,
          consumeType,
          messageModel,
          subscriptionTable: new Map(subscriptions),
        };
        return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson(body)) };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_PRODUCER_CONNECTION_LIST,
      header: getProducerConnectionListHeader,
      lane: 'admin',
      handle({ header: { producerGroup } }) {
        const members = clients.producers(producerGroup);
        if (members.length === 0) {
          return {
            code: RESPONSE_CODE.SYSTEM_ERROR,
            remark: `the producer group[${producerGroup}] not exist`,
          };
        }
        const body = { connectionSet: connectionsOf(members) };
        return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson(body)) };
      },
    }),
  ];
}

/** The group and its retry topic. False: the heartbeat's part for this group is skipped, as upstream does. */
function prepareGroup({ groups, topics }: ClientHeartbeatParts, data: ConsumerData): boolean {
  const config = groups.find(data.groupName);
  if (!config) return false;
  const isOrder = data.subscriptionDataSet.some(({ topic }) => topics.get(topic)?.order);
  if (config.retryQueueNums > 0)
    topics.derived(retryTopicOf(data.groupName), config.retryQueueNums, { order: isOrder });
  return true;
}

function connectionsOf(members: Iterable<Member>): object[] {
  return [...members].map(({ clientId, language, version, peer }) => ({
    clientAddr: `${peer.address.host}:${peer.address.port}`,
    clientId,
    language,
    version,
  }));
}
