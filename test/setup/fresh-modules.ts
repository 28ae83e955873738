import { vi } from 'vitest';

/**
 * Our modules are evaluated again for each test file, so that each file has its own state. Modules of libraries stay
 * loaded.
 */
vi.resetModules();
