/** The seven browsers that Baseline looks at, and whose engine each runs on. */

export const CORE_BROWSERS = [
  'chrome',
  'chrome_android',
  'edge',
  'firefox',
  'firefox_android',
  'safari',
  'safari_ios',
] as const;
export type Browser = (typeof CORE_BROWSERS)[number];

export const ENGINES = ['Blink', 'Gecko', 'WebKit'] as const;
export type Engine = (typeof ENGINES)[number];

export const ENGINE_OF: Record<Browser, Engine> = {
  chrome: 'Blink',
  chrome_android: 'Blink',
  edge: 'Blink',
  firefox: 'Gecko',
  firefox_android: 'Gecko',
  safari: 'WebKit',
  safari_ios: 'WebKit',
};

/** The topic of all events of the example. */
export const TOPIC = 'web-features';
/** Nobody here needs an event sooner; and what comes together costs less. */
export const PULL_INTERVAL_MILLIS = 100;

/** The plain topic over which the forwarder feeds the newsletter. */
export const NEWS_TOPIC = 'baseline-news';
