interface LegacyKey {
  readonly message: string;
  readonly advice: string;
}

const FLAG: LegacyKey = { message: 'is a flag of serve, not a configuration key', advice: 'the chart sets it' };
const SKIPPED: LegacyKey = {
  message: 'is not supported',
  advice: 'add an entry to targets whose match selects these images, with imageCopyPolicy: none',
};

const CACHE: LegacyKey = {
  message: 'is not needed: what a target has is remembered for about a minute',
  advice: 'leave it out',
};

/** Keys of k8s-image-swapper that do not exist here, in lower case, with their replacements. */
export const LEGACY_KEYS: ReadonlyMap<string, LegacyKey> = new Map([
  ['listenaddress', FLAG],
  ['tlscertfile', FLAG],
  ['tlskeyfile', FLAG],
  ['skipregistries', SKIPPED],
  ['imagecopyskipregistries', SKIPPED],
  ['cachettlminutes', CACHE],
  ['cachejittermaxminutes', CACHE],
]);
