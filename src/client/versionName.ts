/**
 * Names of protocol versions as tools print them. From V4_0_0 (213) on each release has two ordinals, its snapshot and
 * itself, and each minor version ten releases. Upstream: `MQVersion`.
 */
const FIRST_ORDINAL = 213;
const ORDINALS_OF_A_MINOR = 20;
const HIGHER_VERSION_ORDINAL = 612;

/** `V5_5_0` for 513; the number itself before V4_0_0. */
export function versionName(ordinal: number): string {
  if (ordinal >= HIGHER_VERSION_ORDINAL) return 'HIGHER_VERSION';
  if (ordinal < FIRST_ORDINAL) return String(ordinal);
  const release = ordinal - FIRST_ORDINAL;
  const minor = Math.floor(release / ORDINALS_OF_A_MINOR);
  // Of the two the snapshot comes first, with the number of the release that it leads to.
  const isSnapshot = release % 2 === 1;
  const patch = Math.floor((release % ORDINALS_OF_A_MINOR) / 2) + (isSnapshot ? 1 : 0);
  const carried = patch === 10;
  const wholeMinor = minor + (carried ? 1 : 0);
  const name = `V${4 + Math.floor(wholeMinor / 10)}_${wholeMinor % 10}_${carried ? 0 : patch}`;
  return isSnapshot ? `${name}_SNAPSHOT` : name;
}
