/**
 * Who may import whom: each row is the whole list (ARCHITECTURE.md, "The rooms"). Anything else, and any cycle, fails.
 */
const ALLOWED = {
  base: [],
  protocol: ['base'],
  filter: ['base'],
  config: ['base'],
  store: ['base', 'protocol'],
  remoting: ['base', 'protocol'],
  namesrv: ['base', 'protocol', 'config', 'remoting'],
  client: ['base', 'protocol', 'filter', 'remoting'],
  broker: ['base', 'protocol', 'filter', 'config', 'remoting', 'store'],
  database: ['base'],
  embedded: ['base', 'config', 'protocol', 'remoting', 'broker', 'namesrv', 'store', 'client'],
  idempotency: ['base', 'database'],
  eventstore: ['base', 'protocol', 'client', 'database'],
  decorators: ['base', 'protocol', 'client', 'eventstore', 'projections', 'idempotency'],
  projections: ['base', 'protocol', 'client', 'eventstore', 'idempotency', 'database'],
  replay: ['base', 'protocol', 'client', 'eventstore', 'idempotency', 'database', 'projections'],
  runtime: [
    'base',
    'protocol',
    'filter',
    'config',
    'remoting',
    'store',
    'client',
    'namesrv',
    'broker',
    'database',
    'embedded',
    'idempotency',
    'eventstore',
    'decorators',
    'projections',
    'replay',
  ],
  testing: [
    'base',
    'protocol',
    'runtime',
    'client',
    'database',
    'embedded',
    'store',
    'eventstore',
    'decorators',
    'idempotency',
    'projections',
  ],
  cli: ['base', 'config', 'runtime', 'client', 'embedded', 'store', 'replay', 'eventstore', 'projections'],
};

const folder = (name) => `^src/${name}/`;

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...Object.entries(ALLOWED).map(([name, targets]) => ({
      name: `layer-${name}`,
      severity: 'error',
      from: { path: folder(name) },
      to: { path: '^src/', pathNot: [name, ...targets].map(folder) },
    })),
    {
      name: 'fs-only-in-files',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/base/files\\.ts$' },
      to: { path: '^(node:)?fs(/promises)?$' },
    },
    {
      name: 'net-only-in-remoting',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(remoting|store/lock)' },
      to: { path: '^(node:)?(net|http|https|tls)$' },
    },
    {
      name: 'not-to-dev-dependency',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.cjs', '.json'],
    },
  },
};
