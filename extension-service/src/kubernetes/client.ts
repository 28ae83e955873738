/** What is used of the client, by name: a bundle then leaves out the rest of its fourteen megabytes. */
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
  Watch,
} from '@kubernetes/client-node';
