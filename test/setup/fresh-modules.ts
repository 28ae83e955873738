import { vi } from 'vitest';

/** Our modules are evaluated again for each test file, whose state is its own; those of libraries stay loaded. */
vi.resetModules();
