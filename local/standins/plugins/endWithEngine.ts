// What a stand-in begins with: it ends when the engine that started it does, as the programs that it stands in for do. An engine
// that is killed, or gives up before it has begun, tells its plugins nothing.
const engine = process.ppid;

setInterval(() => process.ppid === engine || process.exit(), 500).unref();
