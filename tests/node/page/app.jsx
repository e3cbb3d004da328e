// Draws the plan of page/perses.mjs with Perses' panels against the Prometheus behind /prometheus.
//
// Every panel's element carries what its queries answered (data-queries), which render.mjs reads: Perses swallows the
// error of one query when another has data, and draws "No data" into a canvas where no script can see it.
import { Box, CssBaseline, ThemeProvider, Typography } from '@mui/material';
import { ChartsProvider, generateChartsTheme, getTheme, SnackbarProvider } from '@perses-dev/components';
import { DatasourceStoreProvider, Panel, VariableProvider } from '@perses-dev/dashboards';
import * as persesPanels from '@perses-dev/panels-plugin';
import panelsResource from '@perses-dev/panels-plugin/plugin.json';
import { DataQueriesProvider, dynamicImportPluginLoader, PluginRegistry, TimeRangeProvider, useDataQueries } from '@perses-dev/plugin-system';
import * as prometheusPlugin from '@perses-dev/prometheus-plugin';
import prometheusResource from '@perses-dev/prometheus-plugin/plugin.json';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createRoot } from 'react-dom/client';
import { panels as ownPanels } from './panels.jsx';

// The pixels of a row of Grafana's 24 column grid, gap included, so that a panel has about the size it has there.
const ROW_HEIGHT = 38;
const GAP = 8;

const ownResource = {
  kind: 'PluginModule', metadata: { name: 'Grafana panels' },
  spec: { plugins: Object.keys(ownPanels).map((kind) => ({ pluginType: 'Panel', kind, display: { name: kind } })) },
};
const pluginLoader = dynamicImportPluginLoader([
  { resource: panelsResource, importPlugin: async () => persesPanels },
  { resource: prometheusResource, importPlugin: async () => prometheusPlugin },
  { resource: ownResource, importPlugin: async () => ownPanels },
]);

/** What one query answered, in a form that fits an attribute. */
function describe({ definition, data, error, isFetching, isLoading }) {
  const series = data?.series ?? [];
  return {
    query: definition.spec.plugin.spec.query,
    pending: isFetching || isLoading,
    error: error ? String(error.message ?? error) : null,
    // NaN (0/0, a quantile of nothing) leaves no trace in a chart, so it does not count as data.
    points: series.reduce((sum, { values }) => sum + values.filter(([, value]) => Number.isFinite(value)).length, 0),
  };
}

function Cell({ panel, top }) {
  const { queryResults } = useDataQueries('TimeSeriesQuery');
  const { x, y, w, h } = panel.position;
  const definition = {
    kind: 'Panel',
    spec: { display: { name: panel.title, description: panel.description }, plugin: { kind: panel.kind, spec: panel.spec } },
  };
  return (
    <Box
      data-panel={panel.title} data-kind={panel.kind} data-queries={JSON.stringify(queryResults.map(describe))}
      sx={{ gridColumn: `${x + 1} / span ${w}`, gridRow: `${y - top + 1} / span ${h}`, minWidth: 0 }}
    >
      <Panel definition={definition} />
    </Box>
  );
}

function Section({ title, panels }) {
  const top = Math.min(...panels.map(({ position }) => position.y));
  return (
    <Box component="section" sx={{ marginTop: 2 }}>
      {title && <Typography variant="h3" sx={{ marginBottom: 1 }}>{title}</Typography>}
      <Box sx={{ display: 'grid', gap: `${GAP}px`, gridTemplateColumns: 'repeat(24, minmax(0, 1fr))', gridAutoRows: ROW_HEIGHT - GAP }}>
        {panels.map((panel, index) => (
          <DataQueriesProvider
            key={index} options={{ mode: panel.instant ? 'instant' : 'range' }}
            definitions={panel.queries.map((spec) => ({ kind: 'PrometheusTimeSeriesQuery', spec }))}
          >
            <Cell panel={panel} top={top} />
          </DataQueriesProvider>
        ))}
      </Box>
    </Box>
  );
}

function Dashboard({ title, sections, window, step }) {
  const datasource = {
    kind: 'GlobalDatasource', metadata: { name: 'prometheus' },
    spec: {
      default: true,
      // The scrape interval is the lower bound of a range query's step; the default of 1m leaves 5 points of 5m.
      plugin: { kind: 'PrometheusDatasource', spec: { directUrl: '/prometheus', scrapeInterval: step } },
    },
  };
  const datasourceApi = {
    getDatasource: async () => undefined, getGlobalDatasource: async () => datasource,
    listDatasources: async () => [], listGlobalDatasources: async () => [datasource], buildProxyUrl: () => '/prometheus',
  };
  const resource = { kind: 'Dashboard', metadata: { name: 'dashboard', project: 'grafana' }, spec: { variables: [], layouts: [], panels: {} } };
  return (
    <TimeRangeProvider timeRange={{ pastDuration: window }} refreshInterval="0s">
      <VariableProvider>
        <DatasourceStoreProvider dashboardResource={resource} datasourceApi={datasourceApi}>
          <Box sx={{ padding: 2 }}>
            <Typography variant="h2">{title}</Typography>
            {sections.map((section, index) => <Section key={index} {...section} />)}
          </Box>
        </DatasourceStoreProvider>
      </VariableProvider>
    </TimeRangeProvider>
  );
}

const theme = getTheme('light');
const queryClient = new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: false, retry: 0 } } });
const plan = await (await fetch('/plan.json')).json();
createRoot(document.getElementById('root')).render(
  <ThemeProvider theme={theme}>
    <CssBaseline />
    <ChartsProvider chartsTheme={generateChartsTheme(theme, {})}>
      <SnackbarProvider>
        <PluginRegistry pluginLoader={pluginLoader} defaultPluginKinds={{ Panel: 'TimeSeriesChart', TimeSeriesQuery: 'PrometheusTimeSeriesQuery' }}>
          <QueryClientProvider client={queryClient}><Dashboard {...plan} /></QueryClientProvider>
        </PluginRegistry>
      </SnackbarProvider>
    </ChartsProvider>
  </ThemeProvider>,
);
