import { quoteInput } from './quote.js';

/** A platform in the form of an image index (OCI image spec, "image-index", `platform`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
}

/** The text is not a platform; the message lists what is allowed. */
export class InvalidPlatformError extends Error {
  constructor(input: string, reason: string) {
    super(`platform ${quoteInput(input)}: ${reason}`);
    this.name = 'InvalidPlatformError';
  }
}

/** Operating systems that Go and containerd support, and therefore every image builder (go/build's syslist). */
export const knownOperatingSystems: readonly string[] =
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos'.split(
    ' ',
  );

/** Architectures that Go and containerd support. */
export const knownArchitectures: readonly string[] = (
  '386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ' +
  'ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'
).split(' ');

const wordPattern = /^[A-Za-z0-9_.-]{1,32}$/;

/**
 * Parses and normalizes `os/architecture[/variant]`, the form of a configuration.
 * @throws InvalidPlatformError for anything else, including unknown systems and architectures: a typing error would
 * otherwise silently select no image
 */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...more] = text.split('/', 4);
  if (os === undefined || architecture === undefined || more.length > 0) {
    throw new InvalidPlatformError(text, 'expected os/architecture or os/architecture/variant, such as linux/arm64');
  }
  for (const word of [os, architecture, variant]) {
    if (word !== undefined && !wordPattern.test(word)) {
      throw new InvalidPlatformError(text, 'each part must be letters, digits, _, . or -');
    }
  }
  const platform = normalizePlatform({ os, architecture, ...(variant !== undefined && { variant }) });
  if (!knownOperatingSystems.includes(platform.os)) {
    throw new InvalidPlatformError(
      text,
      `unknown operating system; expected one of ${knownOperatingSystems.join(', ')}`,
    );
  }
  if (!knownArchitectures.includes(platform.architecture)) {
    throw new InvalidPlatformError(text, `unknown architecture; expected one of ${knownArchitectures.join(', ')}`);
  }
  return platform;
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined || variant === '' ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/**
 * One spelling for each platform, as in containerd's `platforms.Normalize`: `arm64/v8` is `arm64`, `arm` is `arm/v7`,
 * `amd64/v1` is `amd64`, and uname's names become Go's. Accepts any text that an index may contain.
 */
export function normalizePlatform(platform: Platform): Platform {
  const { os, architecture, variant, ...rest } = platform;
  const [normalArchitecture, normalVariant] = normalizeArchitecture(
    architecture.toLowerCase(),
    (variant ?? '').toLowerCase(),
  );
  const lower = os.toLowerCase();
  return {
    os: lower === 'macos' ? 'darwin' : lower,
    architecture: normalArchitecture,
    ...(normalVariant !== '' && { variant: normalVariant }),
    ...rest,
  };
}

/**
 * Whether an index's entry `actual` is the requested platform: the same system, architecture and variant after
 * normalizing. os.version and os.features only count if `wanted` has them, so `windows/amd64` matches the images of
 * every Windows build.
 */
export function matchPlatform(wanted: Platform, actual: Platform): boolean {
  const left = normalizePlatform(wanted);
  const right = normalizePlatform(actual);
  return (
    left.os === right.os &&
    left.architecture === right.architecture &&
    left.variant === right.variant &&
    (left['os.version'] === undefined || left['os.version'] === right['os.version']) &&
    (left['os.features'] ?? []).every((feature) => right['os.features']?.includes(feature) === true)
  );
}

function normalizeArchitecture(architecture: string, variant: string): readonly [string, string] {
  switch (architecture) {
    case 'i386':
      return ['386', ''];
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return ['amd64', variant === 'v1' ? '' : variant];
    case 'aarch64':
    case 'arm64':
      return ['arm64', variant === '8' || variant === 'v8' ? '' : variant];
    case 'armhf':
      return ['arm', 'v7'];
    case 'armel':
      return ['arm', 'v6'];
    case 'arm':
      if (variant === '') return ['arm', 'v7'];
      return ['arm', ['5', '6', '7', '8'].includes(variant) ? `v${variant}` : variant];
    default:
      return [architecture, variant];
  }
}
