import { parseRoute } from './registry-routes.js';
import type { HookRequest } from './tls-proxy.js';

/** The actions as which ECR counts requests to its registry. The names are those of quotas and permissions. */
export type EcrDataAction =
  | 'BatchCheckLayerAvailability'
  | 'BatchGetImage'
  | 'CompleteLayerUpload'
  | 'GetDownloadUrlForLayer'
  | 'InitiateLayerUpload'
  | 'ListImageReferrers'
  | 'ListImages'
  | 'PutImage'
  | 'UploadLayerPart';

export interface DataRequest {
  /** Empty for `/v2/` itself and for requests that ECR does not name. */
  readonly actions: readonly EcrDataAction[];
  readonly repository: string;
  readonly writes: boolean;
  /** The tag or digest of a manifest, or the digest of a blob. */
  readonly argument: string;
}

export function readDataRequest({ method, path, headers }: HookRequest): DataRequest {
  const { kind, repository, argument } = parseRoute(path);
  const read = method === 'GET' || method === 'HEAD';
  const request = (...actions: EcrDataAction[]): DataRequest => ({ actions, repository, writes: !read, argument });
  switch (kind) {
    case 'manifest':
      return read ? request('BatchGetImage') : method === 'PUT' ? request('PutImage') : request();
    case 'blob':
      if (!read) return request();
      return request(method === 'HEAD' ? 'BatchCheckLayerAvailability' : 'GetDownloadUrlForLayer');
    case 'uploads':
      return method === 'POST' ? request('InitiateLayerUpload') : request();
    case 'upload': {
      if (method === 'PATCH') return request('UploadLayerPart');
      if (method !== 'PUT') return request();
      const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
      return hasBody ? request('UploadLayerPart', 'CompleteLayerUpload') : request('CompleteLayerUpload');
    }
    case 'tags':
      return request('ListImages');
    case 'referrers':
      return request('ListImageReferrers');
    default:
      return request();
  }
}
