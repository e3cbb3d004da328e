#!/usr/bin/env node
// Parses PromQL, LogQL and TraceQL with the grammars the Grafana editors use: node queries.mjs < QUERIES
//
// QUERIES: one JSON object a line, or one JSON array, of {"lang": "promql|logql|traceql", "query": "...", "where": "..."}.
// This proves the syntax only; whether a metric exists or a function takes a range vector is for a real server to say.
import fs from 'node:fs';
import { parser as logql } from '@grafana/lezer-logql';
import { parser as traceql } from '@grafana/lezer-traceql';
import { parser as promql } from '@prometheus-io/lezer-promql';

const PARSERS = { promql, logql, traceql };

// $name, ${name}, ${name:format}, [[name]]: dashboard variables and Grafana's own, such as $__rate_interval.
const VARIABLE = /\$\{\w+(?:\.[\w-]+)*(?::\w+)?\}|\$\w+|\[\[\w+(?::\w+)?\]\]/g;

/**
 * Puts something the grammar accepts in the place of Grafana's variables. The replacement is as long as the variable,
 * so that positions in error messages still fit the original query. Inside of string literals it does no harm.
 */
function substitute(lang, query) {
  return query.replace(VARIABLE, (variable, offset) => {
    const isDuration = lang === 'traceql' || /(?:\[|:|\boffset|\boffset\s*-)\s*$/.test(query.slice(0, offset));
    return isDuration ? '5m'.padStart(variable.length, '0') : variable.replace(/\W/g, '_');
  });
}

/** The error nodes of a query: [{offset, text}]. */
function parseErrors(lang, query) {
  if (!PARSERS[lang]) return [{ offset: 0, text: `unknown language ${JSON.stringify(lang)}` }];
  if (!query?.trim()) return [{ offset: 0, text: 'empty query' }];
  const text = substitute(lang, query);
  const errors = [];
  PARSERS[lang].parse(text).iterate({
    enter({ type, from, to }) {
      if (!type.isError) return;
      // An empty error node marks a missing token: quote what stands there instead.
      const found = query.slice(from, Math.max(to, from + 20));
      errors.push({ offset: from, text: found ? `unexpected or incomplete near ${JSON.stringify(found)}` : 'unexpected end' });
    },
  });
  return errors;
}

const input = fs.readFileSync(0, 'utf8').trim();
const queries = input.startsWith('[') ? JSON.parse(input) : input.split('\n').filter(Boolean).map((line) => JSON.parse(line));

let problems = 0;
for (const { lang, query, where } of queries) {
  for (const { offset, text } of parseErrors(lang, query)) {
    problems += 1;
    const before = query?.slice(0, offset).split('\n') ?? [''];
    console.log(`${where}: ${lang} ${before.length}:${before.at(-1).length + 1}: ${text}\n    ${query}`);
  }
}
console.error(`${queries.length} quer${queries.length === 1 ? 'y' : 'ies'} checked, ${problems} problem(s)`);
// No query at all means that the caller's extraction is broken, not that everything is fine.
process.exit(problems > 0 || queries.length === 0 ? 1 : 0);
