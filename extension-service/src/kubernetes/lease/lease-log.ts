export type LeaseLog = (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
