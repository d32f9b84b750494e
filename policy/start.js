// The language host would compile a TypeScript entry point by rules of its own; from here, Node.js runs it as it is.
import "./index.ts";
