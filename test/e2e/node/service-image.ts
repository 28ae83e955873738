import { BUNDLE } from '../../fakes/service.js';
import { imageOf, push } from './images.js';
import type { Node } from './node.js';

const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/** Returns the values with which the chart runs a build (by default that of this checkout) with this machine's Node. */
export async function serviceImage(
  node: Node,
  { bundle = BUNDLE, repository = 'image-swapper' } = {},
): Promise<{ readonly repository: string; readonly tag: string }> {
  const image = imageOf({
    files: { '/usr/bin/node': process.execPath, '/app/image-swapper.cjs': bundle, [AUTHORITIES]: AUTHORITIES },
    texts: { '/etc/passwd': 'nonroot:x:65532:65532::/tmp:/sbin/nologin\n' },
    entrypoint: ['/usr/bin/node', '/app/image-swapper.cjs'],
    command: ['serve'],
  });
  const reference = await push(node.system, repository, image);
  const at = reference.lastIndexOf(':');
  return { repository: reference.slice(0, at), tag: reference.slice(at + 1) };
}
