/** The logger of an application that hands none in: warnings and errors as lines on stderr, nothing else. */
import type { Logger } from '../base/logger.js';

const line = (level: string) => (fields: object, message: string) => {
  const facts = Object.entries(fields)
    .filter(([, value]) => typeof value !== 'object' || value === null)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');
  process.stderr.write(`foldlog ${level}: ${message}${facts ? ` (${facts})` : ''}\n`);
};

const ignore = () => {};

export const consoleLogger: Logger = { debug: ignore, info: ignore, warn: line('warning'), error: line('error') };
