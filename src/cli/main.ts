#!/usr/bin/env node
/** The command `foldlog`. */
import { execute } from './execute.js';
import { runFoldlog } from './runCommand.js';

await execute((terminal, words) => runFoldlog(words, terminal));
