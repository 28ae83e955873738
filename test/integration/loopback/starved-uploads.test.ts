import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { pair } from './copy-pair.js';

const image = buildImage({ layerSize: 200_000 });
const isUpload = { method: 'PUT', path: '/blobs/uploads/' } as const;

async function failureOf(copy: Promise<unknown>): Promise<RegistryError> {
  const error: unknown = await copy.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RegistryError)) throw new Error(`not a RegistryError: ${String(error)}`);
  return error;
}

describe('a target that ends an upload', () => {
  it('is not blamed while the upload waits for a slow source, and other copies to it continue', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    source.fault({ path: '/blobs/', action: { type: 'drip', interval: 50 } });
    target.fault({ ...isUpload, action: { type: 'cut', milliseconds: 1_500 } });
    const { host, kind, retryable, message } = await failureOf(copy());
    expect({ host, kind, retryable }).toEqual({ host: source.host, kind: 'server', retryable: true });
    expect(message).toContain('is so slow that the target ended the upload');
    // Each blob was tried once. The queue decides about retries because it knows the other work.
    expect(target.requests(({ method }) => method === 'PUT').length).toBeLessThanOrEqual(image.blobs.length);
  });

  it('is blamed when the source has sent everything that the target accepts', async () => {
    const { source, target, copy } = await pair();
    loadImage(source, 'library/app', image, 'v1');
    target.fault({ ...isUpload, action: { type: 'cut', milliseconds: 50 } });
    const { host, kind } = await failureOf(copy());
    expect({ host, kind }).toEqual({ host: target.host, kind: 'unreachable' });
  });
});
