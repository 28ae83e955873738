import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { generatedChartFiles } from './chart/generated.js';

/** Writes the chart files that are generated from the service's sources; `npm run generate` runs this script. */
const chart = new URL('../../extension-service/chart/', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, chart), 'utf8');
mkdirSync(new URL('templates/policies/', chart), { recursive: true });
for (const [file, text] of generatedChartFiles(read)) writeFileSync(new URL(file, chart), text);
