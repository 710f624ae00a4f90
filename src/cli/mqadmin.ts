#!/usr/bin/env node
/** The command `mqadmin`: administration under RocketMQ's names, as far as this version has it. */
import { execute } from './execute.js';
import { runAdmin } from './runAdmin.js';

await execute((terminal, words) => runAdmin(words, terminal));
