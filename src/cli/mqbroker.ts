#!/usr/bin/env node
/** The command `mqbroker`: `foldlog broker` under RocketMQ's name. */
import { execute } from './execute.js';
import { runFoldlog } from './runCommand.js';

await execute((terminal, words) => runFoldlog(words, terminal, 'broker'));
