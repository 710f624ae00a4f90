/** The face of `foldlog/testing`: tests of deciding and handling alone, of whole applications, and time that is moved by hand. */
export type { DeliveryFaults, FaultsMet } from './deliveryFaults.js';
export { type GivenEvents, given, type Outcome } from './given.js';
export type { GivenHandler, Handled, HandledOutcome, HandlerSource } from './givenHandler.js';
export type { DeliveryFields } from './givenMessages.js';
export { ManualClock } from './manualClock.js';
export type { Refusal } from './refusal.js';
export { type SettledOptions, TestApp, type TestAppOptions, type TestRunOptions } from './testApp.js';
