import { describe, expect, it } from 'vitest';
import {
  formatPlatform,
  InvalidPlatformError,
  matchPlatform,
  parsePlatform,
} from '../../../extension-service/src/core/image/platform.js';
import type { Platform } from '../../../extension-service/src/core/image/platform.js';

describe('parsePlatform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/i386', 'linux/386'],
    ['linux/arm64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['Linux/ARM64', 'linux/arm64'],
    ['macos/arm64', 'darwin/arm64'],
    ['windows/amd64', 'windows/amd64'],
    ['linux/s390x', 'linux/s390x'],
  ])('%s is %s', (text, normal) => {
    expect(formatPlatform(parsePlatform(text))).toBe(normal);
  });

  it.each<[string, RegExp]>([
    ['', /os\/architecture/],
    ['linux', /os\/architecture/],
    ['linux/arm64/v8/x', /os\/architecture/],
    ['linux/arm64/', /letters/],
    ['linux/*', /letters/],
    ['linux /amd64', /letters/],
    ['linus/amd64', /unknown operating system; expected one of aix/],
    ['linux/amd46', /unknown architecture; expected one of 386/],
    [`linux/${'a'.repeat(100)}`, /letters/],
  ])('refuses %j', (text, reason) => {
    expect(() => parsePlatform(text)).toThrow(InvalidPlatformError);
    expect(() => parsePlatform(text)).toThrow(reason);
  });
});

describe('matchPlatform', () => {
  it.each<[string, Platform, boolean]>([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }, true],
    ['linux/amd64', { os: 'linux', architecture: 'amd64', variant: '' }, true],
    ['linux/amd64', { os: 'linux', architecture: 'amd64', variant: 'v1' }, true],
    ['linux/amd64', { os: 'linux', architecture: 'amd64', variant: 'v3' }, false],
    ['linux/arm64', { os: 'linux', architecture: 'arm64', variant: 'v8' }, true],
    ['linux/arm64/v8', { os: 'linux', architecture: 'arm64' }, true],
    ['linux/arm', { os: 'linux', architecture: 'arm', variant: 'v7' }, true],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm' }, true],
    ['linux/arm', { os: 'linux', architecture: 'arm', variant: 'v6' }, false],
    ['linux/arm', { os: 'linux', architecture: 'arm64' }, false],
    ['linux/amd64', { os: 'windows', architecture: 'amd64' }, false],
    ['windows/amd64', { os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1' }, true],
    ['linux/amd64', { os: 'unknown', architecture: 'unknown' }, false],
  ])('%s and %j: %s', (wanted, actual, matches) => {
    expect(matchPlatform(parsePlatform(wanted), actual)).toBe(matches);
  });

  it('requires a Windows build and features when it has them', () => {
    const wanted: Platform = { os: 'windows', architecture: 'amd64', 'os.version': '10', 'os.features': ['win32k'] };
    expect(matchPlatform(wanted, { ...wanted, 'os.features': ['other', 'win32k'] })).toBe(true);
    expect(matchPlatform(wanted, { ...wanted, 'os.version': '11' })).toBe(false);
    expect(matchPlatform(wanted, { os: 'windows', architecture: 'amd64', 'os.version': '10' })).toBe(false);
  });
});
