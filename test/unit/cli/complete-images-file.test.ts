import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CompleteImagesFile } from '../../../extension-service/src/cli/complete-images-file.js';

let folder: string;
let warnings: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-complete-'));
  warnings = '';
});
afterEach(() => rm(folder, { recursive: true }));

function open(env: Record<string, string> = { HOME: folder }): Promise<CompleteImagesFile> {
  const stderr = new Writable({
    write(chunk: Buffer, _encoding, done) {
      warnings += chunk.toString();
      done();
    },
  });
  return CompleteImagesFile.open({ env, stderr, stdout: stderr, stdin: Readable.from([]), cwd: folder });
}

const image = (name: string): string => `registry.test/${name}@sha256:${'a'.repeat(64)}`;

describe('the file of complete images', () => {
  it.each([
    ['HOME', () => ({ HOME: folder }), '.cache'],
    ['XDG_CACHE_HOME', () => ({ HOME: '/nowhere', XDG_CACHE_HOME: join(folder, 'elsewhere') }), 'elsewhere'],
    ['HOME where XDG_CACHE_HOME is relative', () => ({ HOME: folder, XDG_CACHE_HOME: 'relative' }), '.cache'],
  ])('is in the cache folder of %s, and only its user can read it', async (_, env, below) => {
    const file = await open(env());
    await file.save([{ image: image('app'), at: 1, referrers: 'f', selection: 's linux/amd64' }]);
    const path = join(folder, below, 'image-swapper', 'complete-images.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await open(env())).images).toEqual([
      { image: image('app'), at: 1, referrers: 'f', selection: 's linux/amd64' },
    ]);
    expect(await readdir(dirname(path))).toEqual(['complete-images.json']);
    expect(warnings).toBe('');
  });

  it('keeps entries of another run and removes images that this run found damaged', async () => {
    await (await open()).save(['damaged', 'kept', 'twice'].map((name) => ({ image: image(name), at: 1 })));
    const [one, other] = [await open(), await open()];
    await other.save([
      { image: image('kept'), at: 1 },
      { image: image('twice'), at: 3 },
      { image: image('new'), at: 3 },
      { image: image('damaged'), at: 1 },
    ]);
    await one.save([
      { image: image('kept'), at: 1 },
      { image: image('twice'), at: 2 },
    ]);
    const found = (await open()).images.map(({ image: name, at }) => [name, at]);
    expect(new Map(found as [string, number][])).toEqual(
      new Map([
        [image('kept'), 1],
        [image('twice'), 3],
        [image('new'), 3],
      ]),
    );
  });

  it.each([
    ['no JSON', '{'],
    ['another format', '{"format":2,"images":[]}'],
    ['no list', '{"format":1,"images":{}}'],
    ['no images', '{"format":1,"images":[{"image":"app","at":1}]}'],
    ['no times', `{"format":1,"images":[{"image":"${image('app')}","at":"now"}]}`],
    ['null', 'null'],
    ['nesting without end', '['.repeat(1_000)],
  ])('that contains %s causes a warning with its name, and is rewritten', async (_, text) => {
    const path = join(folder, '.cache', 'image-swapper', 'complete-images.json');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    const file = await open();
    expect(file.images).toEqual([]);
    expect(warnings).toContain(`warn: ${path} cannot be used (`);
    expect(warnings.split('\n')).toHaveLength(2);
    await file.save([{ image: image('app'), at: 1 }]);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ format: 1, images: [{ image: image('app'), at: 1 }] });
  });

  it('causes a warning when it cannot be written', async () => {
    const blockingFile = join(folder, 'file');
    await writeFile(blockingFile, '');
    await chmod(blockingFile, 0o400);
    await (await open({ XDG_CACHE_HOME: blockingFile })).save([{ image: image('app'), at: 1 }]);
    expect(warnings).toContain('cannot be written (');
    warnings = '';
    await (await open({})).save([{ image: image('app'), at: 1 }]);
    expect(warnings).toContain('HOME and XDG_CACHE_HOME are not set');
  });
});
