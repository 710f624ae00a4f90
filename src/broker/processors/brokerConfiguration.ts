/**
 * The configuration of the running broker: UPDATE_BROKER_CONFIG 25 and GET_BROKER_CONFIG 26. A change of the broker's
 * permission is answered when the name servers know it. Upstream: `AdminBrokerProcessor`.
 */
import { encodeDataVersion } from '../../protocol/bodies.js';
import { emptyHeader } from '../../protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { BrokerSettings } from '../brokerSettings.js';
import type { Registration } from '../registration.js';
import type { Topics } from '../topics.js';

export interface BrokerConfigurationParts {
  settings: BrokerSettings;
  topics: Topics;
  registration: Registration;
}

export function brokerConfigurationRows({ settings, topics, registration }: BrokerConfigurationParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.UPDATE_BROKER_CONFIG,
      header: emptyHeader,
      lane: 'admin',
      async handle({ body }) {
        const changed = settings.update(body.toString());
        if (changed.has('brokerPermission')) {
          topics.raiseVersion();
          await registration.registerAgain();
        }
        return { code: RESPONSE_CODE.SUCCESS };
      },
    }),
    processor({
      code: REQUEST_CODE.GET_BROKER_CONFIG,
      header: emptyHeader,
      lane: 'admin',
      handle: () => ({
        code: RESPONSE_CODE.SUCCESS,
        extFields: { version: encodeDataVersion(topics.dataVersion).toString() },
        body: Buffer.from(settings.print()),
      }),
    }),
  ];
}
