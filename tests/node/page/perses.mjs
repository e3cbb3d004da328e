// Translates a Grafana dashboard into the panels of Perses that page/app.jsx draws. Runs in Node, without a browser.
//
// It covers what makes a picture recognisable: layout, titles, units, legends, thresholds, value mappings. What Perses
// has no counterpart for (field overrides outside of tables, annotations, links, repeated panels) is left out.
import { dataSourceType, panelName, sections } from '../dashboard.mjs';

// Grafana's unit ids -> Perses' units. Perses scales a unit by itself (0.005 s -> 5 ms).
const UNITS = {
  reqps: 'requests/sec', ops: 'ops/sec', cps: 'counts/sec', eps: 'events/sec', mps: 'messages/sec', rps: 'reads/sec',
  wps: 'writes/sec', rowsps: 'rows/sec', pps: 'packets/sec', Bps: 'bytes/sec', binBps: 'bytes/sec', bps: 'bits/sec',
  s: 'seconds', ms: 'milliseconds', m: 'minutes', h: 'hours', d: 'days',
  bytes: 'bytes', decbytes: 'bytes', percentunit: 'percent-decimal', percent: 'percent', short: 'decimal', none: 'decimal',
};

const CALCULATIONS = {
  lastNotNull: 'last-number', last: 'last', firstNotNull: 'first-number', first: 'first',
  mean: 'mean', min: 'min', max: 'max', sum: 'sum',
};

const COLOURS = {
  green: '#73bf69', red: '#f2495c', orange: '#ff9830', yellow: '#fade2a', blue: '#5794f2', purple: '#b877d9',
};
const colour = (name) => COLOURS[name?.replace(/^(super-light|semi-dark|light|dark)-/, '')] ?? name;

function format(unit, decimals) {
  const perses = UNITS[unit ?? 'none'] ?? 'decimal';
  return {
    unit: perses,
    // Perses shortens (1200 -> 1.2K) by this flag; Grafana does for every unit but "none".
    ...(/^(decimal|bytes|.*\/sec)$/.test(perses) && { shortValues: Boolean(unit) && unit !== 'none' }),
    ...(decimals !== undefined && { decimalPlaces: decimals }),
  };
}

const calculation = (panel) => CALCULATIONS[panel.options?.reduceOptions?.calcs?.[0]] ?? 'last-number';

function thresholds({ thresholds: given }) {
  if (!given) return undefined;
  // Grafana's first step has no value: it is the colour below all others.
  const [base, ...steps] = given.steps;
  return {
    mode: given.mode === 'percentage' ? 'percent' : 'absolute',
    defaultColor: colour(base?.color),
    steps: steps.map(({ value, color }) => ({ value, color: colour(color) })),
  };
}

function mappings({ mappings: given = [] }) {
  return given.filter(({ type }) => type === 'value').flatMap(({ options }) => Object.entries(options).map(
    ([value, result]) => ({ kind: 'Value', spec: { value, result: { value: result.text ?? value, color: colour(result.color) } } })));
}

function legend({ legend: given }) {
  if (given?.showLegend === false || given?.displayMode === 'hidden') return undefined;
  return {
    position: given?.placement ?? 'bottom',
    mode: given?.displayMode ?? 'list',
    // Perses can only show values in the table form.
    ...(given?.displayMode === 'table' && { values: (given.calcs ?? []).map((calc) => CALCULATIONS[calc]).filter(Boolean) }),
  };
}

function seriesName(panel, legendFormat) {
  if (legendFormat && legendFormat !== '__auto') return legendFormat;
  // Without a format Perses prints all labels, which below the usual gauge of a single sum reads "{}".
  return panel.type === 'gauge' ? ' ' : undefined;
}

function timeSeries(panel, defaults) {
  const custom = defaults.custom ?? {};
  return {
    legend: legend(panel.options ?? {}),
    yAxis: { show: true, format: format(defaults.unit, defaults.decimals), min: defaults.min ?? (custom.drawStyle === 'bars' ? 0 : undefined), max: defaults.max },
    thresholds: (custom.thresholdsStyle?.mode ?? 'off') === 'off' ? undefined : thresholds(defaults),
    visual: {
      display: custom.drawStyle === 'bars' ? 'bar' : 'line',
      // By default Perses derives a colour from the name, which makes "code 200" and "code 400" look the same.
      palette: { mode: 'categorical' },
      lineWidth: custom.lineWidth ?? 1.5,
      areaOpacity: (custom.fillOpacity ?? 0) / 100,
      stack: (custom.stacking?.mode ?? 'none') === 'none' ? 'none' : 'all',
      connectNulls: Boolean(custom.spanNulls),
    },
  };
}

function table(panel, defaults) {
  const { excludeByName = {}, renameByName = {} } =
    (panel.transformations ?? []).find(({ id }) => id === 'organize')?.options ?? {};
  const units = Object.fromEntries((panel.fieldConfig?.overrides ?? [])
    .filter(({ matcher }) => matcher.id === 'byName')
    .map(({ matcher, properties }) => [matcher.options, properties.find(({ id }) => id === 'unit')?.value]));
  const renamed = (name) => renameByName[name] || name;
  // Grafana names the only value of a table "Value", several ones "Value #A", "Value #B", ...
  const shown = panel.targets.filter(({ hide }) => !hide);
  const values = shown.map(({ refId }) => (shown.length > 1 ? `Value #${refId}` : 'Value'));
  return {
    hidden: Object.keys(excludeByName).filter((name) => excludeByName[name]),
    renamed: renameByName,
    values: values.map((name) => ({ name, format: format(units[renamed(name)] ?? units[name] ?? defaults.unit, defaults.decimals) })),
  };
}

const KINDS = {
  timeseries: ['TimeSeriesChart', timeSeries],
  stat: ['StatChart', (panel, defaults) => ({
    calculation: calculation(panel), format: format(defaults.unit, defaults.decimals), thresholds: thresholds(defaults),
    mappings: mappings(defaults), sparkline: panel.options?.graphMode === 'none' ? undefined : {},
  })],
  gauge: ['GaugeChart', (panel, defaults) => ({
    calculation: calculation(panel), format: format(defaults.unit, defaults.decimals), thresholds: thresholds(defaults), max: defaults.max,
  })],
  // The kinds Perses 0.50 has no sufficient panel for; page/panels.jsx draws them.
  bargauge: ['GrafanaBarGauge', (panel, defaults) => ({
    calculation: calculation(panel), format: format(defaults.unit, defaults.decimals), thresholds: thresholds(defaults), max: defaults.max,
  })],
  table: ['GrafanaTable', table],
  heatmap: ['GrafanaHeatmap', ({ options = {}, targets }, defaults) => ({
    bucketFormat: format(options.yAxis?.unit ?? defaults.unit), valueFormat: format(options.cellValues?.unit),
    cumulative: targets.some((target) => target.format === 'heatmap'),
  })],
};

/** Replaces Grafana's built-in variables and those of the dashboard; `values` come from the command line. */
function substitute(text, dashboard, { interval, window, values }) {
  const builtin = { __rate_interval: interval, __interval: interval, __range: window, __auto: interval };
  const known = Object.fromEntries((dashboard.templating?.list ?? []).map(({ name, type, current }) => {
    // The stored choice of a query variable names something of another system; fixed lists are valid anywhere.
    const fixed = ['custom', 'constant', 'textbox', 'interval'].includes(type) && [current?.value].flat().join('|');
    return [name, fixed && fixed !== '$__all' ? fixed : '.*'];
  }));
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)(?::\w+)?\]\]/g, (whole, ...names) => {
    const name = names.slice(0, 3).find(Boolean);
    return values[name] ?? builtin[name] ?? known[name] ?? whole;
  });
}

/** The plan the page draws: {title, sections: [{title, panels}], skipped: [titles]}. */
export function plan(dashboard, options) {
  const skipped = [];
  const convert = (panel) => {
    const targets = (panel.targets ?? []).filter((target) => !target.hide && dataSourceType(panel, target) === 'prometheus');
    const [kind, spec] = KINDS[panel.type] ?? [];
    if (!kind || targets.length === 0) {
      skipped.push(panelName(panel));
      return [];
    }
    return [{
      title: panelName(panel), description: panel.description, kind, spec: spec(panel, panel.fieldConfig?.defaults ?? {}),
      position: panel.gridPos ?? { x: 0, y: 0, w: 12, h: 8 },
      instant: panel.type === 'table' || targets.every((target) => target.instant && !target.range),
      queries: targets.map(({ expr, legendFormat }) => ({
        query: substitute(expr ?? '', dashboard, options),
        seriesNameFormat: seriesName(panel, legendFormat),
      })),
    }];
  };
  const drawn = sections(dashboard).map(({ title, panels }) => ({ title, panels: panels.flatMap(convert) }));
  return { title: dashboard.title ?? '', sections: drawn.filter(({ panels }) => panels.length > 0), skipped };
}
