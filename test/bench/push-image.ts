import type { BuiltImage } from '../fakes/images.js';

/** Puts a built image into a registry by plain HTTP. */
export async function pushImage(
  host: string,
  repository: string,
  image: BuiltImage,
  tag: string,
  login?: { readonly username: string; readonly password: string },
): Promise<void> {
  const basic = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  const authorization: Record<string, string> = basic === undefined ? {} : { Authorization: `Basic ${basic}` };
  const base = `http://${host}/v2/${repository}`;
  for (const blob of image.blobs) {
    const started = await fetch(`${base}/blobs/uploads/`, { method: 'POST', headers: authorization });
    const location = new URL(started.headers.get('location') ?? '', base);
    location.searchParams.set('digest', blob.digest);
    const body = Buffer.concat([...blob.chunks(0, blob.size)]);
    await expectCreated(await fetch(location, { method: 'PUT', headers: authorization, body }), blob.digest);
  }
  for (const manifest of image.manifests) {
    const reference = manifest.digest === image.digest ? tag : manifest.digest;
    const headers = { ...authorization, 'Content-Type': manifest.mediaType };
    await expectCreated(
      await fetch(`${base}/manifests/${reference}`, { method: 'PUT', headers, body: new Uint8Array(manifest.bytes) }),
      reference,
    );
  }
}

async function expectCreated(response: Response, what: string): Promise<void> {
  if (response.status !== 201) throw new Error(`${what}: ${response.status} ${await response.text()}`);
}
