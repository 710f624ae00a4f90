/** The face of `foldlog/testing`: tests of deciding alone, of whole applications, and time that is moved by hand. */
export { type GivenEvents, given, type Outcome, type Refusal } from './given.js';
export { ManualClock } from './manualClock.js';
export { type SettledOptions, TestApp, type TestAppOptions } from './testApp.js';
