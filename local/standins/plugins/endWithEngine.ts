// What a stand-in begins with: it ends when the engine that started it does. An engine that is killed, or gives up before it has
// begun, tells its plugins nothing; and the signal that the kernel has for this (`setpriv --pdeathsig`) would come with the end of
// the one thread that started the plugin, which in an engine written in Go may be any moment.
const engine = process.ppid;

setInterval(() => process.ppid === engine || process.exit(), 500).unref();
