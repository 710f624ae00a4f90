/** The face of `foldlog/broker`: name server and broker, in this process or as servers for others. */
export type { Clock } from '../base/clock.js';
export { FoldlogError, isFoldlogError } from '../base/errors.js';
export type { Logger } from '../base/logger.js';
export type { Broker } from '../broker/broker.js';
export { type BrokerConfig, defaultBrokerConfig, readBrokerConfig } from '../config/brokerConfig.js';
export { defaultNamesrvConfig, type NamesrvConfig, readNamesrvConfig } from '../config/namesrvConfig.js';
export type { NameServer } from '../namesrv/nameServer.js';
export type { Transport } from '../remoting/transport.js';
export { type Embedded, type StartEmbeddedOptions, startEmbedded } from './embedded.js';
export { type StartBrokerOptions, startBroker } from './startBroker.js';
export { type StartNameServerOptions, startNameServer } from './startNameServer.js';
