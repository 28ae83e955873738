/** Of this build; `npm run version:check` holds it against the packages' and the chart's. */
export const VERSION = '0.1.0';
