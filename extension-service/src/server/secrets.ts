import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares in constant time. */
export function isSecret(sent: string | undefined, secret: string): boolean {
  return timingSafeEqual(hash(sent ?? ''), hash(secret)) && sent !== undefined;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
