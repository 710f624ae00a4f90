/** The face of `foldlog/store`: the message store alone. */
export { MessageStore } from './messageStore.js';
export type * from './storeTypes.js';
