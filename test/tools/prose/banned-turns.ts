/** A phrase that a native reader stops at, and the wording to use instead. */
export interface BannedTurn {
  readonly pattern: RegExp;
  readonly instead: string;
}

/** See docs/style.md. Patterns match prose only, not code spans or code blocks. The list grows with reviews. */
export const BANNED_TURNS: readonly BannedTurn[] = [
  { pattern: /\b(?:has|have|had) (?:it|them|none of it) not\b/gi, instead: 'does not have it' },
  { pattern: /\b(?:is|are|was|were|be|being) told\b/gi, instead: 'is reported, is logged, is printed' },
  { pattern: /\banew\b/gi, instead: 'again; recreate' },
  { pattern: /\b(?:makes?|made) (?:\w+ ){1,3}new\b/gi, instead: 'recreate' },
  { pattern: /\b(?:whoever|whomever|whosoever)\b/gi, instead: 'the caller, a user who' },
  {
    pattern: /\bnobody (?:would|wants?|else|knows|sees|asks?|has|is|can)\b/gi,
    instead: 'say which component does not',
  },
  { pattern: /\bin (?:its|our|their|his|whose) stead\b/gi, instead: 'instead' },
  {
    pattern: /(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b|matter\b|other\b|way\b|need\b)[a-z]/gi,
    instead: 'is not a',
  },
  { pattern: /\bis (?:there|here) (?:twice|already|besides)\b/gi, instead: 'is a duplicate; already exists' },
  { pattern: /\bbut for\b/gi, instead: 'except' },
  { pattern: /\bof no use\b/gi, instead: 'has no effect' },
  { pattern: /\b(?:can|could) be had\b/gi, instead: 'is available' },
  { pattern: /\btruth values?\b/gi, instead: 'boolean' },
  { pattern: /\bthe least (?:severity|version|rate|level|number|size|Pods)\b/gi, instead: 'minimum' },
  { pattern: /\bat the most\b/gi, instead: 'at most' },
  { pattern: /\ballowed are\b/gi, instead: 'expected one of' },
  { pattern: /\bever more seldom\b/gi, instead: 'less and less often' },
  { pattern: /\bis there twice\b/gi, instead: 'duplicate' },
  { pattern: /\bbesides\b/gi, instead: 'in addition to, beside, also' },
  { pattern: /(?:^|[.!?:] )What [a-z][^.?!]*\./g, instead: 'begin with the subject' },
  { pattern: /(?:^|[.!?] )(?:Of what|From what|Of whom|Whose|Whatever) [a-z]/g, instead: 'begin with the subject' },
  { pattern: /, too\b/g, instead: 'also' },
  { pattern: /\b(?:mend|mends|mended|mending)\b/gi, instead: 'fix' },
  { pattern: /\bouts? of all proportion\b/gi, instead: 'oversized' },
  { pattern: /\bmust needs\b|\bneeds? must\b/gi, instead: 'must' },
  { pattern: /\b(?:thither|hither|wherefore|hence|whereupon|thereupon|therein|thereof)\b/gi, instead: 'plain words' },
  { pattern: /\blets? go of\b|\bletting go\b/gi, instead: 'release' },
  { pattern: /\bhas to do with\b/gi, instead: 'concerns' },
  { pattern: /\bour own doing\b|\bof ours\b/gi, instead: 'our; image-swapper' },
  { pattern: /\b(?:as|so) long as it waits\b/gi, instead: 'while it waits' },
  { pattern: /\bgiven up with\b/gi, instead: 'abandoned' },
  { pattern: /\bsays? (?:nothing|less|more) of\b/gi, instead: 'does not describe' },
  { pattern: /\bnot any more\b/gi, instead: 'no longer' },
  { pattern: /\bwell known to\b|\bit is known of\b/gi, instead: 'is known to' },
  { pattern: /\b(?:authorit(?:y|ies)) of (?:its|their|the|our)\b/gi, instead: 'CA certificate' },
  { pattern: /\bfor ever\b/gi, instead: 'indefinitely, forever' },
  { pattern: /\bleft alone\b/gi, instead: 'excluded, skipped, not changed' },
  { pattern: /\b(?:after|within|at most|than|until) so many\b/gi, instead: 'this many' },
  {
    pattern: /\bto be had\b|\band the like\b|\bfor a passing reason\b/gi,
    instead: 'available; and similar; temporarily',
  },
  { pattern: /\blooks? after\b|\b(?:is|are|was) given back\b/gi, instead: 'maintains, checks; released' },
  { pattern: /\b(?:says?|said) of (?:a|an|the|it|what|none|each)\b/gi, instead: 'reports, states' },
  { pattern: /\bPEM text of the authorit(?:y|ies)\b/gi, instead: 'CA certificates (PEM)' },
  {
    pattern:
      /\b(?:behaviour|colour|favour|honour|neighbour|flavour|catalogue|licence|centre|organis|recognis|synthesis(?=e)|normalis|serialis|initialis|summaris|authoris|cancell(?=ed|ing))\w*/gi,
    instead: 'American spelling',
  },
];
