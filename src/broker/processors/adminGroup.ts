/**
 * Consumer groups as tools see them: create and change (200, several 225), delete (207), list (201), one (352), and what
 * they may read (353). A list is taken as a whole or not at all. Upstream: `AdminBrokerProcessor`.
 */
import { BrokerError } from '../../base/errors.js';
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupList,
  encodeSubscriptionGroupConfig,
  encodeSubscriptionGroupTable,
} from '../../protocol/bodies.js';
import {
  deleteSubscriptionGroupHeader,
  getAllSubscriptionGroupConfigHeader,
  getAllSubscriptionGroupConfigResponseHeader,
  getSubscriptionGroupConfigHeader,
  updateAndGetGroupForbiddenHeader,
} from '../../protocol/headers/admin.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import { groupDefect, topicDefect } from '../../protocol/names.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import { isSameVersionText, pageOf } from './adminTopic.js';

export interface AdminGroupParts {
  groups: SubscriptionGroups;
  offsets: ConsumerOffsets;
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
          body: encodeSubscriptionGroupTable({ ...table, subscriptionGroupTable: page }),
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
      code: REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      header: emptyHeader,
      lane: 'admin',
      handle({ body }) {
        const configs = decodeSubscriptionGroupList(body);
        for (const { groupName } of configs) assertGroupName(groupName);
        if (configs.length > 0) groups.putAll(configs);
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
    processor({
      code: REQUEST_CODE.UPDATE_AND_GET_GROUP_FORBIDDEN,
      header: updateAndGetGroupForbiddenHeader,
      lane: 'admin',
      handle({ header: { group, topic, readable } }) {
        const defect = topicDefect(topic);
        if (defect !== undefined) throw refusal(RESPONSE_CODE.INVALID_PARAMETER, defect);
        if (!groups.find(group)) {
          throw refusal(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group [${group}] does not exist`);
        }
        if (readable !== undefined) groups.setForbidden(group, topic, !readable);
        const body = { group, topic, readable: !groups.isForbidden(group, topic) };
        return { code: RESPONSE_CODE.SUCCESS, body: Buffer.from(writeFastJson(body)) };
      },
    }),
  ];
}

function assertGroupName(group: string): void {
  const defect = groupDefect(group);
  if (defect !== undefined) throw refusal(RESPONSE_CODE.INVALID_PARAMETER, defect);
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, remark);
