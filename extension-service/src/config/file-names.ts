/** The names of a configuration file, in the order in which they are looked for. */
export const fileNames = ['image-swapper.yaml', '.k8s-image-swapper.yaml', '.k8s-image-swapper.yml'] as const;
