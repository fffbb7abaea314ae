// A local web server: the package, the example, and models through well- and ill-behaved downloads.

import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css',
  '.wasm': 'application/wasm', '.svg': 'image/svg+xml', '.json': 'application/json',
};

/** Pages of other origins may read everything. */
const OPEN = { 'Access-Control-Allow-Origin': '*' };

/**
 * Serves `folders` ({ '/prefix/': folder }) with range support. `/as/HOW/PATH` serves PATH otherwise, HOW
 * being words joined by `+`: `whole` ignores ranges, `unsized` hides the length, `cut` ends at half of the file, `broken`
 * breaks the connection at every eighth of it, `slow` sends half a MB a second. Gives the base address, a log of requests and a function that stops it.
 */
export async function serve(folders) {
  const requests = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const [, kind, rest] = /^\/as\/([\w+]+)(\/.*)$/.exec(path) ?? [null, '', path];
    requests.push({ path: rest, range: request.headers.range });
    const file = locate(folders, rest);
    if (!file) return response.writeHead(rest === '/favicon.ico' ? 204 : 404, OPEN).end();
    send(request, response, file, new Set(kind.split('+')));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { base: `http://127.0.0.1:${server.address().port}`, requests, close };
}

/** The file of a path, in the first of the folders for it that has such a file. */
function locate(folders, path) {
  const prefixes = Object.keys(folders).filter((prefix) => path.startsWith(prefix));
  const files = prefixes.map((prefix) => {
    const inside = normalize(path.slice(prefix.length) || 'index.html');
    return !inside.startsWith('..') && join(folders[prefix], inside.endsWith('/') ? `${inside}index.html` : inside);
  });
  return files.find((file) => file && statSync(file, { throwIfNoEntry: false })?.isFile());
}

function send(request, response, file, how) {
  const whole = statSync(file).size;
  const size = how.has('cut') ? Math.floor(whole / 2) : whole;
  const range = how.has('whole') ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const start = Number(range ?? 0);
  if (start >= size && size > 0) return response.writeHead(416).end();
  response.writeHead(range ? 206 : 200, {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Cache-Control': 'no-store',
    ...OPEN,
    ...(how.has('unsized') ? {} : { 'Content-Length': size - start }),
    ...(range ? { 'Content-Range': `bytes ${start}-${size - 1}/${size}` } : {}),
  });
  if (request.method === 'HEAD' || size === 0) return response.end();
  body(response, file, start, size, how);
}

function body(response, file, start, size, how) {
  const end = how.has('broken') ? Math.min(start + Math.ceil(size / 8), size) : size;
  const stream = createReadStream(file, { start, end: end - 1, highWaterMark: 256 << 10 });
  stream.on('end', () => end < size && response.destroy());
  // a browser that goes away in the middle is no error here
  pipeline(stream, ...(how.has('slow') ? [slowly] : []), response, () => {});
}

/** A pause after each chunk. (Pausing the file's stream does not last: what drains into the socket resumes it.) */
async function* slowly(chunks) {
  for await (const chunk of chunks) {
    yield chunk;
    await sleep(500);
  }
}
