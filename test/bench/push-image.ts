import type { BuiltImage } from '../fakes/images.js';

/** Puts a built image into a registry over plain HTTP. */
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

/** Puts images into a registry. Each distinct blob is sent once, and repositories that share it mount it. */
export async function pushMounting(
  host: string,
  images: readonly { readonly repository: string; readonly tags: readonly string[]; readonly image: BuiltImage }[],
): Promise<void> {
  const places = new Map<string, string>();
  for (const { repository, tags, image } of images) {
    for (const { digest } of image.blobs) {
      const from = places.get(digest);
      if (from === undefined) continue;
      const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
      const answer = await fetch(`http://${host}/v2/${repository}/blobs/uploads/?${query}`, { method: 'POST' });
      await expectCreated(answer, digest);
    }
    const blobs = image.blobs.filter(({ digest }) => !places.has(digest));
    for (const tag of tags) await pushImage(host, repository, { ...image, blobs: tag === tags[0] ? blobs : [] }, tag);
    for (const { digest } of blobs) places.set(digest, repository);
  }
}

async function expectCreated(response: Response, what: string): Promise<void> {
  if (response.status !== 201) throw new Error(`${what}: ${response.status} ${await response.text()}`);
}
