#!/usr/bin/env node
// Draws the Prometheus panels of Grafana dashboards into pictures, with Perses' panels in a headless Chromium:
//
//   node render.mjs PROMETHEUS_URL FOLDER DASHBOARD.json... [--window 5m] [--interval 15s] [--step 1s] [--var name=value]...
//
// FOLDER gets a DASHBOARD.png for each. --window: the time shown, up to now; --interval: the value of $__rate_interval and
// $__interval; --step: the distance of points, by default what gives some 300 of them. Prints {DASHBOARD: {panels, drawn, empty,
// errors, ...}}; exit 1 if a panel has an error or is not drawn though it has data. Empty panels are no error here: only the
// caller knows which metrics its system had a reason to produce.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import esbuild from 'esbuild';
import { chromium } from 'playwright-core';
import { plan } from './page/perses.mjs';

const WAIT_MS = 60_000;
const VIEWPORT = { width: 1600, height: 900 };
const HTML = '<!doctype html><meta charset="utf-8"><title>Dashboard</title><link rel="stylesheet" href="/app.css">'
  + '<div id="root"></div><script type="module" src="/app.js"></script>';

/** "1h30m" -> 5400 */
function seconds(duration) {
  const units = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  return [...duration.matchAll(/(\d+)([smhdw])/g)].reduce((sum, [, count, unit]) => sum + count * units[unit], 0);
}

async function bundle() {
  const { outputFiles } = await esbuild.build({
    absWorkingDir: path.dirname(fileURLToPath(import.meta.url)),
    entryPoints: ['page/app.jsx'], bundle: true, write: false, outdir: 'out', format: 'esm', target: 'es2022', jsx: 'automatic',
    // Perses' packages expect bundlers that provide Node's name of the global object.
    define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
    loader: { '.woff': 'dataurl', '.woff2': 'dataurl' }, logLevel: 'error',
  });
  return Object.fromEntries(outputFiles.map(({ path: file, contents }) => [`/${path.basename(file)}`, contents]));
}

/** Serves `files` (path -> content) on a free loopback port, and Prometheus below /prometheus: one origin, no CORS. */
function serve(files, prometheus) {
  const types = { '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '': 'text/html' };
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith('/prometheus/')) {
      const body = files[request.url];
      response.writeHead(body ? 200 : 404, { 'content-type': types[path.extname(request.url)] ?? 'text/plain' });
      return response.end(body);
    }
    const target = new URL(prometheus.pathname.replace(/\/$/, '') + request.url.slice('/prometheus'.length), prometheus);
    const forwarded = http.request(target, { method: request.method, headers: { ...request.headers, host: target.host } }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', (error) => response.writeHead(502, { 'content-type': 'text/plain' }).end(`${target.origin}: ${error.message}`));
    return request.pipe(forwarded);
  });
  // Not port 0: it would give an ephemeral port, which here may collide with outgoing connections.
  return new Promise((resolve, reject) => {
    let port = 24_000;
    server.on('error', (error) => (error.code === 'EADDRINUSE' && port < 24_100 ? server.listen(++port, '127.0.0.1') : reject(error)));
    server.listen(port, '127.0.0.1', () => resolve({ server, origin: `http://127.0.0.1:${port}` }));
  });
}

/** Runs in the page: the state of every panel as its element shows it. */
function inspect() {
  const isPainted = (canvas) => canvas.width > 0 && canvas.height > 0
    && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte !== 0);
  return [...document.querySelectorAll('[data-panel]')].map((element) => {
    const queries = JSON.parse(element.dataset.queries);
    const content = element.querySelector('figure');
    const alert = element.querySelector('.MuiAlert-root')?.innerText;
    const pending = queries.length === 0 || queries.some((query) => query.pending)
      || content.querySelector('.MuiSkeleton-root, .MuiCircularProgress-root') !== null;
    const errors = [...new Set([...queries.map((query) => query.error), alert].filter(Boolean))];
    // A chart's legend is text too, so text alone is no proof of a chart.
    const isChart = ['TimeSeriesChart', 'GaugeChart', 'GrafanaHeatmap'].includes(element.dataset.kind);
    const visible = isChart ? [...content.querySelectorAll('canvas')].some(isPainted) : content.innerText.trim() !== '';
    const emptyQueries = queries.filter((query) => query.points === 0 && !query.error).map((query) => query.query);
    const hasData = queries.some((query) => query.points > 0);
    return { title: element.dataset.panel, pending, errors, visible, hasData, emptyQueries };
  });
}

async function photograph(browser, origin, out, expected) {
  const page = await browser.newPage({ viewport: VIEWPORT, timezoneId: 'UTC', locale: 'en-US', reducedMotion: 'reduce' });
  try {
    const pageErrors = [];
    page.on('pageerror', (error) => pageErrors.push(`page: ${error.message}`));
    await page.route((url) => url.origin !== origin, (route) => route.abort());
    await page.goto(origin);
    const deadline = Date.now() + WAIT_MS;
    let panels = [];
    // Two equal readings in a row: a panel draws a moment after its queries have answered.
    for (let before = ''; Date.now() < deadline; before = JSON.stringify(panels)) {
      await page.waitForTimeout(500);
      panels = await page.evaluate(inspect);
      if (panels.length === expected && !panels.some(({ pending }) => pending) && JSON.stringify(panels) === before) break;
    }
    await page.waitForTimeout(1000); // ECharts animates its first drawing.
    await page.screenshot({ path: out, fullPage: true });
    return { panels, pageErrors };
  } finally {
    await page.close();
  }
}

const { values: options, positionals: [prometheus, folder, ...dashboards] } = parseArgs({
  allowPositionals: true,
  options: {
    window: { type: 'string', default: '5m' }, interval: { type: 'string', default: '15s' },
    step: { type: 'string' }, var: { type: 'string', multiple: true, default: [] },
  },
});
if (dashboards.length === 0) {
  console.error('usage: node render.mjs PROMETHEUS_URL FOLDER DASHBOARD.json... [--window 5m] [--interval 15s] [--step 1s] [--var name=value]...');
  process.exit(2);
}
const variables = Object.fromEntries(options.var.map((text) => [text.split('=')[0], text.slice(text.indexOf('=') + 1)]));
const step = options.step ?? `${Math.max(1, Math.ceil(seconds(options.window) / 300))}s`;

/** One dashboard into FOLDER; what is to be said of it. */
async function draw(browser, site, name, dashboard) {
  const drawing = plan(dashboard, { ...options, values: variables });
  const expected = drawing.sections.flatMap(({ panels }) => panels).length;
  site.files['/plan.json'] = JSON.stringify({ ...drawing, window: options.window, step });
  const { panels, pageErrors } = await photograph(browser, site.origin, path.join(folder, `${name}.png`), expected);
  const isDrawn = (panel) => !panel.pending && panel.hasData && panel.visible && panel.errors.length === 0;
  const errors = [...pageErrors, ...panels.flatMap(({ title, pending, hasData, visible, errors: own }) => [
    ...own.map((error) => `${title}: ${error}`),
    ...(pending ? [`${title}: not finished after ${WAIT_MS / 1000} s`] : []),
    ...(!pending && hasData && !visible ? [`${title}: has data, but nothing is drawn`] : []),
  ])];
  if (panels.length !== expected || expected === 0) errors.push(`${expected} panels expected, ${panels.length} on the page`);
  return {
    panels: expected, drawn: panels.filter(isDrawn).length,
    empty: panels.filter(({ hasData, errors: own }) => !hasData && own.length === 0).map(({ title }) => title),
    emptyQueries: panels.filter(({ hasData }) => hasData).flatMap(({ title, emptyQueries }) => emptyQueries.map((query) => `${title}: ${query}`)),
    skipped: drawing.skipped, errors,
  };
}

const files = { '/': HTML, ...await bundle() };
const { server, origin } = await serve(files, new URL(prometheus));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const said = {};
  for (const file of dashboards) {
    const name = path.basename(file, '.json');
    said[name] = await draw(browser, { files, origin }, name, JSON.parse(fs.readFileSync(file, 'utf8')));
  }
  console.log(JSON.stringify(said, null, 2));
  process.exitCode = Object.values(said).some(({ errors }) => errors.length > 0) ? 1 : 0;
} finally {
  await browser.close();
  server.close();
}
