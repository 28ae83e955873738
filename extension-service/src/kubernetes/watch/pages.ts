import { PageTooLargeError } from './cluster-lists.js';
import type { ClusterLists, ListPage } from './cluster-lists.js';

/** Objects per page: a hundred Pods are about a megabyte, which is garbage when the next page arrives. */
const PAGE = 100;

/** Reads one list page by page; pages become smaller if objects are large. */
export class Pages {
  private limit = PAGE;

  constructor(
    private readonly lists: ClusterLists,
    private readonly path: string,
    private readonly query: Readonly<Record<string, string>> = {},
  ) {}

  /** @param next of the previous page @throws ApiStatusError */
  async read(next: string | undefined, signal: AbortSignal): Promise<ListPage> {
    for (;;) {
      const query = { ...this.query, limit: String(this.limit), ...(next !== undefined && { continue: next }) };
      try {
        return await this.lists.page(this.path, query, signal);
      } catch (error) {
        if (!(error instanceof PageTooLargeError) || this.limit === 1) throw error;
        this.limit = Math.ceil(this.limit / 5);
      }
    }
  }
}
