// What the scripts of this kit share about the shape of a Grafana dashboard.

/**
 * The dashboard's panels grouped as Grafana shows them: each row with the panels it owns. A collapsed row holds its
 * panels inside itself, an expanded one is merely followed by them; both come out the same here.
 */
export function sections(dashboard) {
  const result = [{ title: '', panels: [] }];
  for (const panel of dashboard.panels ?? []) {
    if (panel.type === 'row') result.push({ title: panel.title ?? '', panels: [...(panel.panels ?? [])] });
    else result.at(-1).panels.push(panel);
  }
  return result.filter((section) => section.panels.length > 0);
}

/**
 * The data source type ("prometheus", "loki", "tempo", ...) a target is sent to. A target's own data source wins, as
 * in panels of the "-- Mixed --" data source. Without a type (a default data source, or only a uid) it is taken for
 * Prometheus, the usual default.
 */
export function dataSourceType(panel, target) {
  const typeOf = (source) => source?.type;
  return typeOf(target.datasource) ?? typeOf(panel.datasource) ?? 'prometheus';
}

/** How error messages name a panel. */
export const panelName = (panel) => panel.title || `panel ${panel.id ?? '?'} (${panel.type})`;
