/**
 * Maximum bytes of all unfinished request bodies together. Thousands of ordinary ones fit; a few hundred connections
 * that send most of a large body and then wait would use up the process's memory.
 */
export const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;

/** The bytes of one unfinished body. */
export interface BodyShare {
  add(bytes: number): void;
  /** The body is complete, or is no longer read. */
  close(): void;
}

interface OpenBody {
  readonly peer: Peer;
  readonly evict: () => void;
  bytes: number;
}

interface Peer {
  readonly address: string;
  readonly bodies: Set<OpenBody>;
  bytes: number;
}

/**
 * Divides the memory for unfinished bodies between peers. When it is full, the largest body of the peer with the most
 * bytes is dropped, so that bodies that are never finished do not keep out those of others.
 */
export class BodyShares {
  private readonly peers = new Map<string, Peer>();
  private bytes = 0;

  constructor(private readonly most: number) {}

  /** @param evict called when this body is dropped */
  open(address: string, evict: () => void): BodyShare {
    const peer = this.peers.get(address) ?? { address, bodies: new Set<OpenBody>(), bytes: 0 };
    this.peers.set(address, peer);
    const body: OpenBody = { peer, evict, bytes: 0 };
    peer.bodies.add(body);
    return {
      add: (bytes) => {
        if (!peer.bodies.has(body)) return;
        this.grow(body, bytes);
        while (this.bytes > this.most) this.evictLargest();
      },
      close: () => this.remove(body),
    };
  }

  private grow(body: OpenBody, bytes: number): void {
    body.bytes += bytes;
    body.peer.bytes += bytes;
    this.bytes += bytes;
  }

  private remove(body: OpenBody): void {
    const { peer } = body;
    if (!peer.bodies.delete(body)) return;
    this.grow(body, -body.bytes);
    if (peer.bodies.size === 0) this.peers.delete(peer.address);
  }

  private evictLargest(): void {
    const peer = largest(this.peers.values());
    const body = peer && largest(peer.bodies);
    if (body === undefined) return;
    this.remove(body);
    body.evict();
  }
}

/** The first of the largest. */
function largest<T extends { readonly bytes: number }>(all: Iterable<T>): T | undefined {
  let found: T | undefined;
  for (const one of all) if (found === undefined || one.bytes > found.bytes) found = one;
  return found;
}
