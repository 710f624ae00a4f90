/**
 * An application's log without its handlers: for commands that read what is stored with the application's event
 * classes. Nothing consumes or projects meanwhile, and no group's progress moves.
 */
import { CloseStack } from '../base/lifecycle.js';
import { type AppParts, eventDecodingOf, openParts } from './appParts.js';
import { checkOptions, declarationsOf, type FoldlogOptions } from './foldlogOptions.js';

export interface AppLog extends Pick<AppParts, 'codec' | 'declarations' | 'link' | 'reader' | 'topics'> {
  close(): Promise<void>;
}

/** Throws OptionsError for what `Foldlog.start` would refuse. Nothing stays open then. */
export async function openAppLog(options: FoldlogOptions): Promise<AppLog> {
  checkOptions(options);
  const declarations = declarationsOf(options);
  const decoding = eventDecodingOf(options, declarations);
  const closes = new CloseStack();
  try {
    const { codec, link, reader, topics } = await openParts(options, declarations, decoding, closes);
    return { codec, declarations, link, reader, topics, close: () => closes.closeAll() };
  } catch (thrown) {
    await closes.closeAll().catch(() => {});
    throw thrown;
  }
}
