import type { ServerResponse } from 'node:http';

interface Metadata {
  readonly uid?: string;
  readonly labels?: object;
}

/** One write, in the order of arrival. */
export interface AppliedWrite {
  /** Time before the response, milliseconds since the epoch. */
  readonly time: number;
  readonly path: string;
  /** The object as JSON. */
  readonly text: string;
}

/** Objects that clients create by server-side apply, below the paths that a test has named. */
export class AppliedObjects {
  readonly writes: AppliedWrite[] = [];
  private readonly paths = new Set<string>();
  private readonly objects = new Map<string, object>();

  /** Accepts objects below this path, such as `/apis/GROUP/VERSION/PLURAL/`, from now on. */
  serve(path: string): void {
    this.paths.add(path);
  }

  /** Deletes every object below the path, as when the definition of their kind is deleted. */
  stopServing(path: string): void {
    this.paths.delete(path);
    for (const one of this.objects.keys()) if (one.startsWith(path)) this.objects.delete(one);
  }

  /** Puts an object there without a write, as another client does. */
  put(path: string, object: object): void {
    this.objects.set(path, object);
  }

  /** Whether the object at this path exists. */
  has(path: string): boolean {
    return this.objects.has(path);
  }

  /** @returns whether the request was for such an object */
  answer(method: string, path: string, text: string, response: ServerResponse): boolean {
    if (![...this.paths].some((prefix) => path.startsWith(prefix))) return false;
    const send = (code: number, object: object): true => {
      response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(object));
      return true;
    };
    const missing = { kind: 'Status', status: 'Failure', code: 404, message: 'not found' };
    if (method === 'PATCH') {
      this.writes.push({ time: Date.now(), path, text });
      const object = JSON.parse(text) as { readonly metadata: Metadata };
      const metadata = {
        uid: path,
        ...object.metadata,
        resourceVersion: String(this.writes.length),
        managedFields: [{ manager: 'image-swapper', operation: 'Apply' }],
      };
      this.objects.set(path, { ...object, metadata });
    }
    if (method === 'DELETE') return this.objects.delete(path) ? send(200, {}) : send(404, missing);
    const found = this.objects.get(path);
    return found === undefined ? send(404, missing) : send(200, found);
  }
}
