/**
 * Attributes of topics and groups as the command line takes them: `+key=value,+key=value`. Upstream: `AttributeParser`.
 */
import { usageError } from '../errorLine.js';

export function attributesOf(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const part of text.split(',').filter((one) => one.trim() !== '')) {
    const [, key, value] = /^\+([^=\s]+)=(.*)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw usageError(`--attributes ${text}: must be +key=value, separated by commas`);
    }
    attributes[key] = value;
  }
  return attributes;
}
