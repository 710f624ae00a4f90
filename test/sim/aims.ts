/**
 * Changes of the disk that are seldom: drawn by number alone, hardly any process would end or fail at one of them. So some
 * faults are aimed: they strike at the first or second change of that kind, if the life, the stop or the start comes to it.
 */
const replaced = (file: string) => [`create ${file}`, `write ${file}`, `sync ${file}`, `rename ${file}`];
const inPlace = (file: string) => [`create ${file}`, `truncate ${file}`, `write ${file}`, `sync ${file}`];
const often = (times: number, ...points: readonly string[]) => Array.from({ length: times }, () => points).flat();
const lists = (...names: readonly string[]) => names.map((name) => `syncDirectory ${name}`);

export const AIMS = {
  LIFE: [
    ...[...replaced('deleted'), ...replaced('derived'), ...inPlace('checkpoint')],
    ...[...often(2, 'remove log', 'remove queue'), ...often(3, 'removeDirectory queue')],
    ...['remove index', 'remove index checks'],
    ...['makeDirectory log', 'makeDirectory index', ...lists('log', 'queue', 'index', 'foldlog')],
  ],
  STOP: [
    ...[...replaced('derived'), ...replaced('end'), ...inPlace('checkpoint'), 'sync synced', 'remove abort'],
    ...lists('queue', 'index', 'foldlog', 'root'),
  ],
  OPENING: [
    ...[...inPlace('abort'), ...inPlace('running'), ...inPlace('synced'), ...inPlace('checkpoint')],
    ...[
      ...replaced('generations'),
      ...replaced('deleted'),
      ...often(6, 'create cut', 'write cut', 'sync cut'),
      ...often(14, 'rename log'),
    ],
    ...['remove end', ...often(10, 'remove derived'), 'remove log', 'remove index', 'remove index checks'],
    ...['makeDirectory root', 'makeDirectory foldlog', ...lists('log', 'foldlog', 'root')],
  ],
} as const satisfies Record<string, readonly string[]>;
