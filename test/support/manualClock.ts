/** The clock that tests move is the one that `foldlog/testing` gives to users. */
export { ManualClock } from '../../src/testing/manualClock.js';
