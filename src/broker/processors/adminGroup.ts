/**
 * Consumer groups as tools see them: create and change (200), delete (207), list (201), one (352), and moving their
 * offsets (222). Upstream: `AdminBrokerProcessor`.
 */
import { BrokerError } from '../../base/errors.js';
import {
  decodeSubscriptionGroupConfig,
  encodeResetOffsetBody,
  encodeSubscriptionGroupConfig,
  encodeSubscriptionGroupTable,
} from '../../protocol/bodies.js';
import {
  deleteSubscriptionGroupHeader,
  getAllSubscriptionGroupConfigHeader,
  getAllSubscriptionGroupConfigResponseHeader,
  getSubscriptionGroupConfigHeader,
} from '../../protocol/headers/admin.js';
import { invokeBrokerToResetOffsetHeader } from '../../protocol/headers/group.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import type { MessageQueue } from '../../protocol/message.js';
import { groupDefect } from '../../protocol/names.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { LongPolling } from '../longPolling.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';
import { isSameVersionText, pageOf } from './adminTopic.js';

export interface AdminGroupParts {
  identity: BrokerIdentity;
  topics: Topics;
  groups: SubscriptionGroups;
  offsets: ConsumerOffsets;
  longPolling: LongPolling;
  store: Pick<MessageStore, 'offsetByTime' | 'queueRange'>;
}

export function adminGroupRows(parts: AdminGroupParts): ProcessorRow[] {
  const { groups, offsets } = parts;
  return [
    processor({
      code: REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      header: emptyHeader,
      lane: 'admin',
      handle({ body }) {
        const config = decodeSubscriptionGroupConfig(body);
        assertGroupName(config.groupName);
        groups.put(config);
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
    processor({
      code: REQUEST_CODE.DELETE_SUBSCRIPTIONGROUP,
      header: deleteSubscriptionGroupHeader,
      lane: 'admin',
      handle({ header: { groupName, cleanOffset } }) {
        groups.delete(groupName);
        if (cleanOffset) offsets.removeGroup(groupName);
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
      header: getAllSubscriptionGroupConfigHeader,
      lane: 'admin',
      handle({ header: { groupSeq, maxGroupNum, dataVersion } }) {
        const table = groups.snapshot();
        const totalGroupNum = table.subscriptionGroupTable.size;
        const page =
          groupSeq === undefined && maxGroupNum === undefined
            ? table.subscriptionGroupTable
            : pageOf(table.subscriptionGroupTable, {
                start: isSameVersionText(dataVersion, table.dataVersion) ? (groupSeq ?? 0) : 0,
                count: maxGroupNum,
              });
        return {
          code: RESPONSE_CODE.SUCCESS,
          extFields: getAllSubscriptionGroupConfigResponseHeader.encode({ totalGroupNum }),
          body: encodeSubscriptionGroupTable({ dataVersion: table.dataVersion, subscriptionGroupTable: page }),
        };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG,
      header: getSubscriptionGroupConfigHeader,
      lane: 'admin',
      handle({ header: { group } }) {
        const config = groups.find(group);
        if (config) return { code: RESPONSE_CODE.SUCCESS, body: encodeSubscriptionGroupConfig(config) };
        return { code: RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, remark: `No group in this broker. group: ${group}` };
      },
    }),
    processor({
      code: REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET,
      header: invokeBrokerToResetOffsetHeader,
      lane: 'admin',
      handle({ header }) {
        const offsetTable = resetOffsets(header, parts);
        return { code: RESPONSE_CODE.SUCCESS, body: encodeResetOffsetBody({ offsetTable }) };
      },
    }),
  ];
}

function assertGroupName(group: string): void {
  const defect = groupDefect(group);
  if (defect !== undefined) throw refusal(RESPONSE_CODE.INVALID_PARAMETER, defect);
}

interface ResetRequest {
  topic: string;
  group: string;
  /** -1: the latest. */
  timestamp: number;
  queueId: number | undefined;
  offset: number | undefined;
}

/** Moves a group's offsets; running members are told by their next pull, held ones now. */
function resetOffsets(request: ResetRequest, parts: AdminGroupParts): [MessageQueue, number][] {
  const { identity, topics, groups, offsets, longPolling, store } = parts;
  const { topic, group, timestamp, queueId = -1, offset = -1 } = request;
  const config = topics.get(topic);
  if (!config) throw refusal(RESPONSE_CODE.TOPIC_NOT_EXIST, `Topic ${topic} does not exist`);
  if (!groups.get(group)) throw refusal(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
  if (queueId >= config.readQueueNums) {
    throw refusal(RESPONSE_CODE.INVALID_PARAMETER, `queueId[${queueId}] is illegal, topic:[${topic}]`);
  }
  const targets: [MessageQueue, number][] = [];
  const last = queueId >= 0 ? queueId + 1 : config.readQueueNums;
  for (let id = Math.max(0, queueId); id < last; id += 1) {
    const { minOffset, maxOffset } = store.queueRange(topic, id);
    let target: number;
    if (queueId >= 0 && offset !== -1) {
      if (offset < minOffset || offset > maxOffset) {
        throw refusal(
          RESPONSE_CODE.SYSTEM_ERROR,
          `Target offset ${offset} not in consume queue range [${minOffset}-${maxOffset}]`,
        );
      }
      target = offset;
    } else target = timestamp < 0 ? maxOffset : store.offsetByTime(topic, id, timestamp, 'LOWER');
    targets.push([{ brokerName: identity.brokerName, topic, queueId: id }, target]);
  }
  for (const [{ queueId: id }, target] of targets) {
    offsets.reset(group, topic, id, target);
    longPolling.wake(topic, id);
  }
  return targets;
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, remark);
