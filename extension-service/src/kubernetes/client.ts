/** What is used of the client, by name: a bundle then leaves out the rest of its fourteen megabytes. */
export { CoreV1Api, KubeConfig, Watch } from '@kubernetes/client-node';
