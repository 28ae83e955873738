import { forgetSecrets } from '../../extension-service/src/registry/sent-secrets.js';

/** Runs before each test file: the credentials are the only state that our modules share between files. */
forgetSecrets();
