import { measureCluster } from './cluster-size.js';
console.log(JSON.stringify(await measureCluster(Number(process.argv[2] ?? 100000))));
