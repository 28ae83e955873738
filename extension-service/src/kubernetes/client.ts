/** The used parts of the client, by name, so that the bundle omits the rest of its fourteen megabytes. */
export {
  ApiException,
  AuthenticationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  Observable,
  PatchStrategy,
  V1MicroTime,
  VersionApi,
  Watch,
} from '@kubernetes/client-node';
