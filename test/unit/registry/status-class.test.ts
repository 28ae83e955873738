import { describe, expect, it } from 'vitest';
import { classOf, type Refusal } from '../../../extension-service/src/registry/transport/status-class.js';

const PATHS = {
  'PUT manifest': ['PUT', '/v2/a/manifests/v1'],
  'GET manifest': ['GET', '/v2/a/manifests/v1'],
  'HEAD manifest': ['HEAD', '/v2/a/manifests/v1'],
  'POST upload': ['POST', '/v2/a/blobs/uploads/'],
  'PUT blob': ['PUT', '/v2/a/blobs/uploads/1'],
  'PATCH blob': ['PATCH', '/v2/a/blobs/uploads/1'],
  'GET blob': ['GET', '/v2/a/blobs/sha256:1'],
} as const;

function refusal(status: number, what: keyof typeof PATHS, code: string, message: string): Refusal {
  const [method, path] = PATHS[what];
  const diagnostics = code === '' ? [] : [{ code, message }];
  return { status, method, path, diagnostics, words: code === '' ? message : '' };
}

describe('classOf', () => {
  it.each<[string, number, keyof typeof PATHS, string, string, string, boolean | undefined]>([
    // Manifests of kinds that a registry does not know.
    [
      'Alibaba',
      403,
      'PUT manifest',
      'DENIED',
      'unknown manifest class for application/vnd.oci.empty.v1+json',
      'unsupported',
      false,
    ],
    [
      'Huawei',
      400,
      'PUT manifest',
      'MANIFEST_INVALID',
      "Invalid image, fail to parse 'manifest.json'",
      'unsupported',
      false,
    ],
    ['DigitalOcean', 403, 'POST upload', 'DENIED', 'registry contains 1 repositories, limit is 1', 'quota', false],
    ['a cache', 405, 'POST upload', '', 'Method not allowed', 'invalid', undefined],
    // Read-only modes.
    ['Harbor', 403, 'PUT manifest', 'DENIED', 'The system is in read only mode.', 'server', true],
    ['Quay', 503, 'POST upload', '', 'System is currently read-only.', 'server', true],
    ['GitLab', 405, 'POST upload', 'UNSUPPORTED', 'the registry is under maintenance', 'server', true],
    ['a login', 403, 'POST upload', 'DENIED', 'the token has read-only permission', 'forbidden', undefined],
    ['a reader', 403, 'GET manifest', 'DENIED', 'The system is in read only mode.', 'forbidden', undefined],
    // Storages behind redirects.
    ['S3', 403, 'GET blob', 'AccessDenied', 'Request has expired', 'server', true],
    ['S3', 403, 'GET blob', 'AccessDenied', 'Access Denied', 'forbidden', undefined],
    ['S3', 403, 'PUT blob', 'AccessDenied', 'Request has expired', 'forbidden', undefined],
    ['S3', 400, 'GET blob', 'ExpiredToken', 'The provided token has expired.', 'server', true],
    ['S3', 400, 'PUT blob', 'RequestTimeout', 'Your socket connection was not read from', 'server', true],
    ['AWS', 400, 'GET manifest', 'ThrottlingException', 'Rate exceeded', 'throttled', undefined],
    // Quotas.
    [
      'ECR',
      403,
      'PUT manifest',
      'DENIED',
      "The repository already has the maximum allowed number of images which is '10000'",
      'quota',
      false,
    ],
    ['ECR', 400, 'PUT manifest', 'LimitExceededException', 'The maximum number of images was exceeded', 'quota', false],
    [
      'Harbor',
      403,
      'PUT blob',
      'DENIED',
      'adding 1 MiB of storage resource, which when updated to current usage of 9 MiB will exceed the configured upper limit of 9 MiB',
      'quota',
      false,
    ],
    ['Harbor', 412, 'PUT manifest', 'DENIED', 'quota exceeded when processing the request', 'quota', false],
    ['a full disk', 500, 'PUT blob', 'UNKNOWN', 'write /data: no space left on device', 'quota', false],
    ['storage', 507, 'PUT blob', '', 'Insufficient Storage', 'quota', false],
    ['Quay', 402, 'PUT manifest', 'DENIED', 'payment required', 'quota', false],
    ['GitHub', 413, 'PUT blob', 'DENIED', 'storage quota exceeded', 'quota', false],
    ['a namespace', 405, 'PUT manifest', 'UNSUPPORTED', 'the namespace is read-only: quota', 'quota', false],
    ['GitLab', 403, 'PUT manifest', 'DENIED', 'Your project has reached the storage limit', 'quota', false],
    // For reads, an expired subscription does not count as a quota.
    ['Quay', 402, 'GET manifest', 'DENIED', 'payment required', 'forbidden', undefined],
    ['nginx', 413, 'PUT blob', '', '413 Request Entity Too Large', 'too-large', undefined],
    // Content that is not visible in the registry yet.
    ['ECR', 404, 'PUT manifest', 'NOT_FOUND', 'Layers with digests sha256:1 do not exist', 'missing', undefined],
    ['a registry', 400, 'PUT manifest', 'MANIFEST_INVALID', 'blob unknown to registry', 'missing', undefined],
    ['Artifactory', 400, 'PUT manifest', 'MANIFEST_INVALID', 'Failed to copy blob sha256:1', 'missing', undefined],
    ['a registry', 422, 'PUT manifest', '', 'config not found', 'missing', undefined],
    // Media types and methods that a registry does not support.
    ['a registry', 406, 'PUT manifest', '', '', 'unsupported', false],
    ['a registry', 405, 'PATCH blob', '', '', 'unsupported', undefined],
    ['a registry', 501, 'PATCH blob', 'UNSUPPORTED', '', 'unsupported', undefined],
    // Rate limits are not quotas.
    [
      'Docker Hub',
      429,
      'GET manifest',
      'TOOMANYREQUESTS',
      'You have reached your pull rate limit',
      'throttled',
      undefined,
    ],
    [
      'Google',
      403,
      'PUT manifest',
      'DENIED',
      "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'",
      'throttled',
      undefined,
    ],
    ['a proxy', 403, 'GET manifest', 'TOOMANYREQUESTS', 'slow down', 'throttled', undefined],
    // Policies.
    [
      'Harbor',
      412,
      'GET manifest',
      'PROJECTPOLICYVIOLATION',
      'current image with 3 vulnerabilities cannot be pulled',
      'policy',
      false,
    ],
    ['Harbor', 412, 'GET manifest', 'PROJECTPOLICYVIOLATION', 'the image is not scanned yet', 'policy', true],
    ['Harbor', 412, 'GET manifest', 'PROJECTPOLICYVIOLATION', 'vulnerability scan is Running', 'policy', true],
    ['Harbor', 412, 'HEAD manifest', '', '', 'policy', false],
    ['Artifactory', 403, 'GET blob', '', 'Package is blocked by Xray policy', 'policy', false],
    // Missing permissions.
    [
      'ECR',
      403,
      'PUT manifest',
      'DENIED',
      'User is not authorized to perform ecr:PutImage because no identity-based policy allows it',
      'forbidden',
      undefined,
    ],
    [
      'Google',
      403,
      'GET manifest',
      'DENIED',
      'Permission "artifactregistry.repositories.downloadArtifacts" denied',
      'forbidden',
      undefined,
    ],
    ['anybody', 401, 'GET manifest', 'UNAUTHORIZED', 'authentication required', 'unauthorized', undefined],
    ['nginx', 400, 'GET manifest', '', '400 No required SSL certificate was sent', 'unauthorized', false],
    // Refusals whose cause only the text tells.
    [
      'Google',
      403,
      'PUT manifest',
      'DENIED',
      "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x",
      'forbidden',
      false,
    ],
    ['Azure', 405, 'GET manifest', 'REGISTRY_DISALLOWED_OPERATION', 'The operation is disallowed', 'forbidden', false],
    ['Harbor', 412, 'POST upload', 'DENIED', 'can not push artifact to a proxy project: hub', 'forbidden', false],
    [
      'Artifactory',
      400,
      'PUT manifest',
      'MANIFEST_INVALID',
      'manifest invalid: HTTP 403 Forbidden',
      'forbidden',
      false,
    ],
    ['Google, throttling', 429, 'GET manifest', 'DENIED', 'vpcServiceControlsUniqueIdentifier', 'throttled', undefined],
    [
      'Quay',
      405,
      'POST upload',
      'METHOD NOT ALLOWED',
      'Pushes to the registry are currently disabled.',
      'server',
      true,
    ],
    // Immutable tags.
    [
      'ECR',
      400,
      'PUT manifest',
      'ImageTagAlreadyExistsException',
      'the tag v1 already exists and is immutable',
      'conflict',
      undefined,
    ],
    [
      'ECR',
      400,
      'PUT manifest',
      'TAG_INVALID',
      'The image tag v1 already exists in the repository and cannot be overwritten because the tag is immutable.',
      'conflict',
      undefined,
    ],
    [
      'Harbor',
      412,
      'PUT manifest',
      'PRECONDITION',
      'Failed to process request due to immutable tag rule',
      'conflict',
      undefined,
    ],
    ['Quay', 409, 'PUT manifest', 'TAG_IMMUTABLE', 'tag is immutable', 'conflict', undefined],
    // These errors do not concern a tag: another client finished the upload, or the content exceeds a limit.
    ['Artifactory', 409, 'PUT blob', 'BLOB_UPLOAD_INVALID', 'the file already exists', 'invalid', false],
    ['a registry', 400, 'PUT manifest', 'MANIFEST_INVALID', 'the manifest exceeds the maximum size', 'invalid', false],
    [
      'Google',
      400,
      'PUT manifest',
      'MANIFEST_INVALID',
      'cannot update tag v1. The repository has enabled tag immutability',
      'conflict',
      undefined,
    ],
    ['a registry that is busy', 409, 'PUT manifest', 'UNKNOWN', 'concurrent update, try again', 'server', undefined],
    // Content that a registry refuses.
    ['zot', 415, 'PUT manifest', 'MANIFEST_INVALID', 'manifest invalid', 'unsupported', false],
    ['a registry', 400, 'PUT manifest', 'MANIFEST_INVALID', 'mediaType: not supported', 'unsupported', false],
    ['nginx', 413, 'PUT blob', '', '413 Request Entity Too Large', 'too-large', undefined],
    // Missing content.
    ['distribution', 404, 'GET manifest', 'MANIFEST_UNKNOWN', 'manifest unknown', 'absent', undefined],
    ['distribution 2.8', 500, 'GET manifest', 'MANIFEST_UNKNOWN', 'manifest unknown', 'absent', undefined],
    ['distribution', 404, 'POST upload', 'NAME_UNKNOWN', 'repository name not known', 'missing', undefined],
    ['distribution', 404, 'PUT blob', 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown', 'missing', undefined],
    ['distribution', 400, 'PUT manifest', 'MANIFEST_BLOB_UNKNOWN', 'blob unknown', 'missing', undefined],
    ['distribution 2.8', 500, 'PUT manifest', 'MANIFEST_BLOB_UNKNOWN', 'blob unknown', 'missing', undefined],
    ['distribution', 500, 'PUT manifest', 'MANIFEST_INVALID', 'manifest invalid', 'invalid', undefined],
    // Other errors.
    ['a gateway', 502, 'GET manifest', '', '502 Bad Gateway', 'server', undefined],
    ['anybody', 405, 'HEAD manifest', '', '', 'invalid', false],
    ['anybody', 408, 'PUT blob', '', '', 'invalid', true],
    ['Azure', 424, 'GET manifest', '', "request to pull from source 'dhi.io/python' has failed", 'invalid', true],
    ['Azure', 424, 'GET manifest', '', 'too many requests to source registry for cache rule', 'throttled', undefined],
  ])('reads %s: %i to %s, %s %s, as %s', (_, status, what, code, message, kind, retryable) => {
    const found = classOf(refusal(status, what, code, message));
    expect({ kind: found.kind, retryable: found.retryable }).toEqual({ kind, retryable });
  });

  it.each<[number, keyof typeof PATHS, string, string]>([
    // GoogleCloudPlatform/cloud-sql-proxy#1686
    [403, 'GET manifest', 'vpcServiceControlsUniqueIdentifier: x', 'VPC Service Controls'],
    [
      403,
      'POST upload',
      'Artifact Registry API has not been used in project 1 before or it is disabled.',
      'enable artifactregistry',
    ],
    [403, 'POST upload', 'This API method requires billing to be enabled.', 'enable billing'],
    // GoogleCloudPlatform/jit-groups#49
    [
      403,
      'GET manifest',
      "Org Policy Violated: 'us' violates constraint 'constraints/gcp.resourceLocations'",
      'organization',
    ],
    // Azure/azure-cli#17137
    [403, 'GET manifest', "client with IP '192.0.2.1' is not allowed access.", 'network rules'],
    // Azure/azure-sdk-for-net#22827
    [405, 'PUT manifest', 'The operation is disallowed on this registry, repository or image.', 'is locked'],
    // goharbor/harbor#12731
    [403, 'POST upload', 'can not push artifact to a proxy project: hub', 'proxy cache'],
    // aws/containers-roadmap#2354
    [403, 'GET manifest', 'The authentication to the upstream registry failed.', 'pull-through cache rule'],
  ])('advises on a refusal by its text: %i to %s, %s', (status, what, text, advice) => {
    const found = classOf(refusal(status, what, 'DENIED', text));
    expect(found.advice).toContain(advice);
    // Advice about the credentials of the target would contradict it.
    expect(found.isGeneral).toBeUndefined();
  });

  it('names the project of Harbor, which answers 401 if there is none (goharbor/harbor#13988)', () => {
    const text = 'unauthorized to access repository: docker.io/library/nginx, action: push';
    const found = classOf(refusal(401, 'POST upload', 'UNAUTHORIZED', text));
    expect(found).toMatchObject({ kind: 'unauthorized', isGeneral: true });
    expect(found.advice).toMatch(/no credential was accepted.*the project.*must exist/);
  });

  it('never reports an absent source for a write', () => {
    for (const what of ['PUT manifest', 'POST upload', 'PUT blob'] as const) {
      for (const code of ['', 'NAME_UNKNOWN', 'BLOB_UPLOAD_UNKNOWN', 'MANIFEST_UNKNOWN']) {
        expect(classOf(refusal(404, what, code, 'not found')).kind).toBe('missing');
      }
    }
  });

  it('names the media type that a registry names, and the setting of zot', () => {
    const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
    const found = classOf({
      ...refusal(415, 'PUT manifest', '', ''),
      diagnostics: [{ code: 'MANIFEST_INVALID', message: '', mediaType }],
    });
    expect(found.advice).toContain(mediaType);
    expect(found.advice).toContain('docker2s2');
  });
});
