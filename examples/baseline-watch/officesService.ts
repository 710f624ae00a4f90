/** A process for both offices: two applications that share nothing but the guard's database. */
import 'reflect-metadata';
import { openOffice } from './office.js';
import { serve } from './service.js';

const [namesrv = '', directory = ''] = process.argv.slice(2);

await serve(async () => {
  const offices = [await openOffice(namesrv, directory, '1'), await openOffice(namesrv, directory, '2')];
  return {
    report: () => Promise.all(offices.map((office) => office.report())),
    stop: async () => {
      for (const { app } of offices) await app.stop();
    },
  };
});
