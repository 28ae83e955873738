/** What is used of the client, by name: a bundle then leaves out the rest of its fourteen megabytes. */
export { CoreV1Api, CustomObjectsApi, KubeConfig, PatchStrategy, setHeaderMiddleware } from '@kubernetes/client-node';
