import { describe, expect, it } from 'vitest';
import { readSettings } from '../../../extension-service/src/shared-queue/settings.js';

describe('the URL of a queue server in a Secret', () => {
  const read = (url: string) =>
    readSettings({ type: 'redis', secretName: 'queue', prefix: 'image_swapper', sentinels: [] }, () =>
      Promise.resolve(url),
    );

  it('is used without the line break at its end', async () => {
    expect((await read('redis://:se%25cret@redis.example/0\n')).url.href).toBe('redis://:se%25cret@redis.example/0');
  });

  it.each([
    ['of another kind of server', 'postgres://u:secret@h/db', 'the key url of Secret queue is not a redis URL'],
    ['with a bare % in the password', 'redis://:se%cret@h', 'has a % that does not begin an escape: expected %25'],
  ])('%s is refused without showing it', async (_, url, words) => {
    const error = await read(url).catch((reason: unknown) => reason);
    expect(String(error)).toContain(words);
    expect(String(error)).toContain('Secret queue');
    expect(String(error)).not.toContain('cret@');
  });
});
