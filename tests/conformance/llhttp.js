// Reads a file of messages, each behind its length in decimal and a newline, and says of each what Node's parser
// (llhttp) makes of it: one JSON object a line. test_llhttp.py compares it with ours.
'use strict';
const { readFileSync } = require('node:fs');
const { HTTPParser, methods } = process.binding('http_parser'); // the parser itself: node has no public way to it

function parse(bytes) {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 0, 0);
  const messages = [];
  let current = null;
  parser[HTTPParser.kOnHeaders] = () => {}; // more header lines than fit one call, or a trailer
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method) => {
    current = { method: methods[method], body: '', done: false };
    messages.push(current);
    return 0;
  };
  parser[HTTPParser.kOnBody] = (chunk, offset, length) => {
    current.body += (length === undefined ? chunk : chunk.subarray(offset, offset + length)).toString('hex');
  };
  parser[HTTPParser.kOnMessageComplete] = () => { current.done = true; };
  const result = parser.execute(bytes, 0, bytes.length);
  return { error: result instanceof Error ? result.code : '', messages };
}

const file = readFileSync(process.argv[2]);
const lines = [JSON.stringify({ methods })];
for (let at = 0; at < file.length;) {
  const end = file.indexOf(10, at);
  const length = Number(file.toString('latin1', at, end));
  lines.push(JSON.stringify(parse(file.subarray(end + 1, end + 1 + length))));
  at = end + 1 + length;
}
console.log(lines.join('\n'));
