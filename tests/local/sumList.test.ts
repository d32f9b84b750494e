import { expect, test } from "vitest";
import { sumIn } from "../../local/sumList.ts";

const sum = "0123456789abcdef".repeat(4);
const url = "https://site.example/v1/tool-v1.tar.gz?download=1";

test.each([
  ["sha256sum's own", `${"0".repeat(64)}  tool-v1.tar.gz.asc\n${sum}  tool-v1.tar.gz\n`],
  ["with the mark of binary files", `${sum} *tool-v1.tar.gz\n`],
  ["with a folder before the name", `${sum}  ./dist/tool-v1.tar.gz\n`],
  ["in capitals, with the line ends of Windows", `${sum.toUpperCase()}  tool-v1.tar.gz\r\n`],
  ["of one file, without a name", `${sum}\n`],
  ["that names it twice with the same sum", `${sum}  tool-v1.tar.gz\n${sum}  a/tool-v1.tar.gz\n`],
  ["that has a SHA-512 of it, too", `${sum}${sum}  tool-v1.tar.gz\n${sum}  tool-v1.tar.gz\n`],
])("the sum is found in a list %s", (_, list) => {
  expect(sumIn(list, url)).toEqual({ sha256: sum });
});

test.each([
  ["", "does not name tool-v1.tar.gz"],
  [`${sum}  tool-v1.tar.gz.sig\n${sum}  xtool-v1.tar.gz\n`, "does not name tool-v1.tar.gz"],
  [`${sum}\n${sum}\n`, "does not name tool-v1.tar.gz"],
  [`${"a".repeat(40)}  ./tool-v1.tar.gz\n`, "has no sha256 of tool-v1.tar.gz, but another kind of sum"],
  [`${sum}  tool-v1.tar.gz\n${"0".repeat(64)}  tool-v1.tar.gz\n`, "names tool-v1.tar.gz with several sums"],
  ["<html>not found</html>", "does not name tool-v1.tar.gz"],
])("a list that does not say says why: %j", (list, reason) => {
  expect(sumIn(list, url)).toEqual({ reason });
});
