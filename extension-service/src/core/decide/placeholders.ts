/**
 * Images that a later webhook replaces. Istio's injector replaces `auto` (gateway charts, custom `istio-proxy`
 * containers); it keeps every other name as a custom image (istio/istio issues 35789, 46307), so that the Pod would
 * never start.
 */
export const PLACEHOLDER_IMAGES: readonly string[] = ['auto'];
