/** `mqadmin clusterList`: clusters, brokers and their main figures. Upstream: `ClusterListSubCommand`. */
import { messageOf } from '../../base/errors.js';
import type { CommandCall } from '../command.js';
import { columns, textOption, withAdmin } from './adminCall.js';

const WIDTHS = [22, 22, 4, 22, 16, 16, 16, 10];
const TITLES = ['#Cluster Name', '#Broker Name', '#BID', '#Addr', '#Version', '#InTPS', '#OutTPS', '#ACTIVATED'];

export function run(call: CommandCall): Promise<number> {
  const only = textOption(call, 'clusterName');
  return withAdmin(call, async (admin) => {
    call.terminal.out(columns(WIDTHS, TITLES));
    const { clusterAddrTable, brokerAddrTable } = await admin.clusterInfo();
    for (const [cluster, brokerNames] of [...clusterAddrTable].sort()) {
      if (only !== undefined && cluster !== only) continue;
      for (const brokerName of [...brokerNames].sort()) {
        const addresses = [...(brokerAddrTable.get(brokerName)?.brokerAddrs ?? [])].sort(
          ([left], [right]) => left - right,
        );
        for (const [brokerId, address] of addresses) {
          const figures = await figuresOf(() => admin.runtimeInfo(address), call);
          call.terminal.out(columns(WIDTHS, [cluster, brokerName, brokerId, address, ...figures]));
        }
      }
    }
  });
}

/** Version, messages in and out a second, active; a broker that does not answer is listed all the same. */
async function figuresOf(ask: () => Promise<Map<string, string>>, { logger }: CommandCall): Promise<string[]> {
  try {
    const info = await ask();
    const first = (name: string) => Number(info.get(name)?.trim().split(/\s+/)[0] ?? 0).toFixed(2);
    const version = info.get('brokerVersionDesc') ?? '';
    return [version, first('putTps'), first('getTransferredTps'), info.get('brokerActive') ?? 'true'];
  } catch (thrown) {
    logger.warn({}, `no figures: ${messageOf(thrown)}`);
    return ['-', '-', '-', '-'];
  }
}
