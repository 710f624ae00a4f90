/** How the application reaches its broker: one of its own in this process, or a running cluster over TCP. */
import type { Clock } from '../base/clock.js';
import { type Files, joinPath } from '../base/files.js';
import type { CloseStack } from '../base/lifecycle.js';
import type { Logger } from '../base/logger.js';
import { Session } from '../client/session.js';
import type { FoldlogOptions } from './foldlogOptions.js';

/** Of the session on an embedded broker, so that BROADCASTING consumers find their offsets after a restart. */
const EMBEDDED_INSTANCE = 'embedded';

/**
 * Messages of one pull answer. Differs from RocketMQ (32, and 8 of old ones): who reads here is this application, whose
 * projections write what one answer holds in one transaction. The bounds in bytes stand.
 */
const EMBEDDED_CONFIG = { maxTransferCountOnMessageInMemory: 256, maxTransferCountOnMessageInDisk: 256 } as const;

export interface BrokerLink {
  session: Session;
  namesrvAddr: string;
  /** `host:port` of the embedded broker; undefined on a cluster. */
  brokerAddr: string | undefined;
  /** Where BROADCASTING groups keep their offsets; undefined for the client's default. */
  offsetDirectory: string | undefined;
}

/** Registers what it opens on the stack. The broker's code is loaded only when it runs in this process. */
export async function openBrokerLink(
  options: FoldlogOptions,
  { files, ...parts }: { clock: Clock; logger: Logger; files: Files | undefined },
  closes: CloseStack,
): Promise<BrokerLink> {
  const { store, namesrv, instanceName, localOffsetDirectory } = options;
  if (store === undefined) {
    const session = await Session.open({
      ...parts,
      namesrvAddr: namesrv ?? '',
      ...(instanceName === undefined ? {} : { instanceName }),
    });
    closes.push(() => session.close());
    return { session, namesrvAddr: session.namesrvAddr, brokerAddr: undefined, offsetDirectory: localOffsetDirectory };
  }
  const { startEmbedded } = await import('../embedded/embedded.js');
  const { listen, namesrvPort, brokerPort, config } = options;
  const embedded = await startEmbedded({
    ...parts,
    store,
    ...(listen === undefined ? {} : { listen }),
    ...(namesrvPort === undefined ? {} : { namesrvPort }),
    ...(brokerPort === undefined ? {} : { brokerPort }),
    config: { ...EMBEDDED_CONFIG, ...config },
    ...(files === undefined ? {} : { files }),
  });
  closes.push(() => embedded.stop());
  const { namesrvAddr, brokerAddr } = embedded;
  const session = await Session.open({
    ...parts,
    namesrvAddr,
    instanceName: instanceName ?? EMBEDDED_INSTANCE,
    transport: (table) => embedded.connect(table),
  });
  closes.push(() => session.close());
  return {
    session,
    namesrvAddr,
    brokerAddr,
    offsetDirectory: localOffsetDirectory ?? joinPath(store, 'consumerOffsets'),
  };
}
