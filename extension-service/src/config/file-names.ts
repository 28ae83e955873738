/** The file names of a configuration, in search order. */
export const fileNames = ['image-swapper.yaml', '.k8s-image-swapper.yaml', '.k8s-image-swapper.yml'] as const;
