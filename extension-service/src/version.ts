/** The version of this build; `npm run version:check` compares it with the packages' and the chart's. */
export const VERSION = '0.1.0';
