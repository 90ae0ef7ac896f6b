// embed.mjs DIR FILE: the built page as a C++ source, each file compressed. Fails where the page outgrows its budget.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGET = 500_000; // bytes, compressed
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const [directory, output] = process.argv.slice(2);

const files = readdirSync(directory, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  .sort()
  .map((path) => ({
    path: "/" + relative(directory, path),
    type: TYPES[extname(path)],
    content: gzipSync(readFileSync(path), { level: 9 }),
  }));

const size = files.reduce((sum, file) => sum + file.content.length, 0);
if (size > BUDGET) throw new Error(`the page is ${size} bytes compressed, more than ${BUDGET}`);
const unknown = files.find((file) => file.type === undefined);
if (unknown) throw new Error(`${unknown.path}: no content type is known for it`);

const bytes = (content) => [...content].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
// Literals of a length that every compiler takes.
const literal = (content) => {
  const lines = [];
  for (let at = 0; at < content.length; at += 4096) lines.push(`"${bytes(content.subarray(at, at + 4096))}"`);
  return lines.join("\n");
};
writeFileSync(
  output,
  `#include "server/http/page.h"

namespace scalelaw::server {
const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files = {
${files.map((f) => `{"${f.path}", "${f.type}", std::string_view(${literal(f.content)}, ${f.content.length})}`).join(",\n")}};
  return files;
}
}  // namespace scalelaw::server
`,
);
console.log(`dashboard: ${files.length} files, ${size} bytes compressed`);
