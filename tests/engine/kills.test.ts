import { testKills } from "../kills.ts";

// More of them are in tests/long.
testKills(5);
