/** Text of properties that came from a record or a request: unlike a producer's own they cannot be refused any more. */
import type { MessageProperties } from '../protocol/messageProperties.js';

const NAME_END = '\u0001';
const ITEM_END = '\u0002';

/** The text form. Names hold no 0x01 and values no 0x02, because both were parsed from text. */
export function joinProperties(properties: MessageProperties): string {
  let text = '';
  for (const name in properties) {
    const value = properties[name];
    if (value) text += name + NAME_END + value + ITEM_END;
  }
  return text;
}

/** Adds an item to a text whose last separator may be missing (clients before 4.9 leave it out). */
export function appendProperty(text: string, name: string, value: string): string {
  const start = text === '' || text.endsWith(ITEM_END) ? text : text + ITEM_END;
  return start + name + NAME_END + value + ITEM_END;
}

/** The text without the items of a name. */
export function withoutProperty(text: string, name: string): string {
  return text
    .split(ITEM_END)
    .filter((item) => item !== '' && !item.startsWith(name + NAME_END))
    .map((item) => item + ITEM_END)
    .join('');
}
