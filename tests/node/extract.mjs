#!/usr/bin/env node
// Prints the queries of Grafana dashboards as input for queries.mjs: node extract.mjs FILE.json... | node queries.mjs
import fs from 'node:fs';
import { dataSourceType, panelName, sections } from './dashboard.mjs';

// The property of a target that holds its query differs by data source.
const LANGUAGES = {
  prometheus: { lang: 'promql', text: (target) => target.expr },
  loki: { lang: 'logql', text: (target) => target.expr },
  tempo: { lang: 'traceql', text: (target) => target.query },
};

for (const file of process.argv.slice(2)) {
  for (const panel of sections(JSON.parse(fs.readFileSync(file, 'utf8'))).flatMap((section) => section.panels)) {
    for (const target of panel.targets ?? []) {
      const language = LANGUAGES[dataSourceType(panel, target)];
      // Tempo's search form and service map have no TraceQL text to check.
      if (!language || (target.queryType && target.queryType !== 'traceql' && language.lang === 'traceql')) continue;
      const where = `${file}: ${panelName(panel)} [${target.refId ?? '?'}]`;
      console.log(JSON.stringify({ lang: language.lang, query: language.text(target) ?? '', where }));
    }
  }
}
