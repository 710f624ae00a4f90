#!/usr/bin/env node
/** The command `mqshutdown`: `foldlog shutdown` under RocketMQ's name. */
import { execute } from './execute.js';
import { runFoldlog } from './runCommand.js';

await execute((terminal, words) => runFoldlog(words, terminal, 'shutdown'));
