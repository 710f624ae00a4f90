/** The contract suite on both transports. */
import { LocalTransport } from '../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../src/remoting/processorTable.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { RemotingServer } from '../../src/remoting/remotingServer.js';
import { transportContract } from './transportContract.js';

transportContract('TCP', async ({ serverTable, clientTable, clock, maxInFlight }) => {
  const server = await RemotingServer.listen({ port: 0, table: serverTable, clock });
  const transport = new RemotingClient({ table: clientTable, clock, maxInFlight });
  return {
    transport,
    address: `127.0.0.1:${server.address.port}`,
    stopServer: () => server.close(),
    async close() {
      await transport.close();
      await server.close();
    },
  };
});

transportContract('in process', async ({ serverTable, clientTable, clock, maxInFlight }) => {
  const address = 'embedded:10911';
  const endpoints = new Map<string, ProcessorTable>([[address, serverTable]]);
  const fallback = new RemotingClient({ clock });
  const transport = new LocalTransport({ endpoints, table: clientTable, fallback, clock, maxInFlight });
  return {
    transport,
    address,
    async stopServer() {
      endpoints.delete(address);
      transport.disconnect(address);
      await new Promise((resolve) => setImmediate(resolve));
    },
    close: () => transport.close(),
  };
});
