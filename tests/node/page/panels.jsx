// Panels in the manner of Perses' own, for kinds of Grafana panels it has no sufficient counterpart of.
import { Box, Typography } from '@mui/material';
import { EChart, LoadingOverlay, Table, useChartsTheme } from '@perses-dev/components';
import { formatValue, getCalculation } from '@perses-dev/core';
import { useDataQueries } from '@perses-dev/plugin-system';
import { HeatmapChart } from 'echarts/charts';
import { GridComponent, VisualMapComponent } from 'echarts/components';
import { use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';

use([HeatmapChart, GridComponent, VisualMapComponent, CanvasRenderer]);

/** What the queries answered, in their order; undefined until all have. */
function useAnswers() {
  const { queryResults, isFetching, isLoading } = useDataQueries('TimeSeriesQuery');
  const failed = queryResults.find(({ error }) => error);
  if (failed) throw failed.error; // The panel's error boundary shows it, as for Perses' own panels.
  return isFetching || isLoading ? undefined : queryResults.map(({ data }) => data);
}

const NoData = () => (
  <Typography sx={{ height: '100%', display: 'flex', alignItems: 'center', justifyContent: 'center' }}>No data</Typography>
);

/**
 * A table of the newest values. Perses' own table prints raw numbers and keeps the rows of several queries apart; this
 * one applies units and joins rows with the same labels, as Grafana's "merge" transformation does.
 */
function GrafanaTable({ spec, contentDimensions }) {
  const answers = useAnswers();
  if (!answers || !contentDimensions) return <LoadingOverlay />;
  const rows = new Map();
  answers.forEach(({ series }, query) => series.forEach(({ labels = {}, values }) => {
    const key = JSON.stringify(Object.entries(labels).sort());
    rows.set(key, { ...labels, ...rows.get(key), [spec.values[query].name]: values.at(-1)?.[1] });
  }));
  const data = [...rows.values()];
  if (data.length === 0) return <NoData />;
  const valueNames = new Set(spec.values.map(({ name }) => name));
  const labelNames = [...new Set(data.flatMap(Object.keys))].filter((name) => !valueNames.has(name)).sort();
  const header = (name) => spec.renamed[name] || name;
  const columns = [
    ...labelNames.map((name) => ({ accessorFn: (row) => row[name], id: name, header: header(name) })),
    ...spec.values.map(({ name, format }) => ({
      accessorFn: (row) => row[name], id: name, header: header(name), align: 'right',
      cell: (cell) => (cell.getValue() === undefined ? '' : formatValue(cell.getValue(), format)),
    })),
  ].filter(({ id }) => !spec.hidden.includes(id));
  return <Table data={data} columns={columns} {...contentDimensions} density="compact" defaultColumnWidth="auto" />;
}

/** Labelled bars. Perses' own bar chart cuts off the values and overprints its axis at the size such panels have. */
function GrafanaBarGauge({ spec, contentDimensions }) {
  const answers = useAnswers();
  if (!answers || !contentDimensions) return <LoadingOverlay />;
  const bars = answers.flatMap(({ series }) => series)
    .map((series) => ({ name: series.formattedName ?? series.name, value: getCalculation(series.values, spec.calculation) }))
    .filter(({ value }) => Number.isFinite(value));
  if (bars.length === 0) return <NoData />;
  const max = spec.max ?? (Math.max(...bars.map(({ value }) => value)) || 1);
  const colour = (value) => spec.thresholds?.steps.findLast((step) => value >= step.value)?.color ?? spec.thresholds?.defaultColor ?? '#73bf69';
  return (
    <Box sx={{ display: 'grid', gridTemplateColumns: 'minmax(0, auto) 1fr auto', alignContent: 'center', gap: 1, padding: 1, height: '100%' }}>
      {bars.flatMap(({ name, value }, index) => [
        <Typography key={`${index} name`} variant="body2" noWrap>{name}</Typography>,
        <Box key={`${index} bar`} sx={{ minWidth: 40, background: '#eee', alignSelf: 'stretch' }}>
          <Box sx={{ width: `${Math.max(0, Math.min(100, (100 * value) / max))}%`, height: '100%', background: colour(value) }} />
        </Box>,
        <Typography key={`${index} value`} variant="body2" sx={{ textAlign: 'right' }}>{formatValue(value, spec.format)}</Typography>,
      ])}
    </Box>
  );
}

const clock = (milliseconds) => new Date(milliseconds).toISOString().slice(11, 19);

/** Histogram buckets (one series per upper bound, label "le") over time. */
function GrafanaHeatmap({ spec, contentDimensions }) {
  const answers = useAnswers();
  const theme = useChartsTheme();
  if (!answers || !contentDimensions) return <LoadingOverlay />;
  const bound = ({ labels }) => (labels?.le === undefined ? NaN : Number(labels.le.replace('+Inf', 'Infinity')));
  const buckets = answers.flatMap(({ series }) => series).sort((a, b) => bound(a) - bound(b));
  if (buckets.length === 0) return <NoData />;
  // The whole time range, as in the charts next to it, though the data may begin later.
  const { timeRange, stepMs } = answers[0];
  const times = [];
  for (let time = timeRange.start.getTime(); time <= timeRange.end.getTime(); time += stepMs) times.push(time);
  const valueAt = buckets.map(({ values }) => new Map(values));
  // Prometheus counts in each bucket what all smaller ones hold too; the colour shall show the bucket alone.
  const cells = buckets.flatMap((_, row) => times.map((time, column) => {
    const below = spec.cumulative && row > 0 ? valueAt[row - 1].get(time) ?? 0 : 0;
    return [column, row, Math.max(0, (valueAt[row].get(time) ?? 0) - below)];
  })).filter(([, , value]) => value > 0);
  const max = cells.reduce((most, [, , value]) => Math.max(most, value), 0);
  const option = {
    animation: false,
    grid: { left: 8, right: 16, top: 12, bottom: 48, containLabel: true },
    xAxis: { type: 'category', data: times.map(clock) },
    yAxis: {
      type: 'category',
      data: buckets.map((bucket) => (Number.isFinite(bound(bucket)) ? formatValue(bound(bucket), spec.bucketFormat) : '+Inf')),
    },
    visualMap: {
      min: 0, max, text: [formatValue(max, spec.valueFormat), '0'], orient: 'horizontal', left: 'center', bottom: 4,
      itemHeight: 160, itemWidth: 12, inRange: { color: ['#fff5eb', '#fdae6b', '#e6550d', '#7f2704'] },
    },
    series: [{ type: 'heatmap', data: cells }],
  };
  return <EChart option={option} theme={theme.echartsTheme} sx={contentDimensions} />;
}

export const panels = {
  GrafanaBarGauge: { PanelComponent: GrafanaBarGauge },
  GrafanaHeatmap: { PanelComponent: GrafanaHeatmap },
  GrafanaTable: { PanelComponent: GrafanaTable },
};
