// Runs a benchmark that was built for wasm32-wasip1 in Node's V8, which is close to Envoy's (Node 24 or later; the V8 of
// Node 20 is older than Envoy's and breaks on it):
//   node bench/v8.mjs MODULE.wasm [ARGUMENT…]
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`bench/v8.mjs: Node ${process.versions.node} is too old; 24 or later is needed`);
  process.exit(2);
}
const [module, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: ["bench", ...args], preopens: { "/": "/" } });
// The clock counts the processor time of this process: neighbours on a busy machine do not.
const imports = wasi.getImportObject();
imports.wasi_snapshot_preview1.clock_time_get = (_clock, _precision, place) => {
  const { user, system } = process.cpuUsage();
  new DataView(instance.exports.memory.buffer).setBigUint64(place, BigInt(user + system) * 1000n, true);
  return 0;
};
const { instance } = await WebAssembly.instantiate(await readFile(module), imports);
process.exitCode = wasi.start(instance);
