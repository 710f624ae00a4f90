/** What the processes of the example have in common: they start, report when asked, and stop on SIGTERM. */

export interface Service {
  report?(): Promise<unknown>;
  stop(): Promise<void>;
}

/** Runs until SIGTERM, or until the parent process is gone. */
export async function serve(start: () => Promise<Service>): Promise<void> {
  // Ctrl-C reaches the whole process group; the parent decides what ends when.
  process.on('SIGINT', () => {});
  process.once('disconnect', () => process.exit());
  const service = await start();
  process.on('message', async () => process.send?.(await service.report?.()));
  process.once('SIGTERM', async () => {
    await service.stop();
    process.exit();
  });
  process.send?.('ready');
}
