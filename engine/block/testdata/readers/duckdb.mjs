// Prints what DuckDB sees in a block folder, as one line of JSON.
// usage: node duckdb.mjs FOLDER (with @duckdb/node-api in node_modules above NODE_MODULES)
import { createRequire } from 'node:module'
const require = createRequire(process.env.NODE_MODULES + '/')
const { DuckDBInstance } = require('@duckdb/node-api')

const dir = process.argv[2]
const db = await (await DuckDBInstance.create(':memory:')).connect()
const rows = async (sql) => (await db.runAndReadAll(sql)).getRowObjectsJson()
const data = `read_parquet('${dir}/data.parquet')`
const tables = `read_parquet('${dir}/resources.parquet')`

const [all] = await rows(`select count(*) as spans, count(distinct trace_id) as traces, sum(duration)::varchar as duration,
  sum(trace_span_count)::varchar as per_trace, count(root_name) as roots, count(parent_span_id) as loose,
  min(trace_start + to_microseconds(start_offset // 1000))::varchar as first from ${data}`)
const services = await rows(`select r.service_name as name, count(*) as n from ${data} s
  join ${tables} r on r.kind = 'resource' and r.id = s.resource_id group by 1 order by 1`)
const scopes = await rows(`select r.scope_name as name, count(*) as n from ${data} s
  join ${tables} r on r.kind = 'scope' and r.id = s.scope_id group by 1 order by 1`)
const [attrs] = await rows(`select sum("span.http.status_code")::varchar as status, count("span.user") as users,
  count(*) filter ("span.user" like 'user-1%') as ones, count(*) filter ("span.hot") as hot, sum("span.score")::varchar as score,
  sum(len(span_overflow))::varchar as overflow from ${data}`)
const [children] = await rows(`select count(*) as n from ${data} p join ${data} c on c.trace_id = p.trace_id and c.nested_parent = p.nested_left`)
const keys = await rows(`select o.key as name, count(*) as n from (select unnest(span_overflow) as o from ${data}) group by 1 order by 1`)
const [arrays] = await rows(`select count("span.tags") as tagged, sum(list_sum("span.ports"))::varchar as ports, sum(list_sum("span.ratios")) as ratios,
  sum(len(list_filter("span.turns", x -> x))) as turns from ${data}`)
const elements = (column) => rows(`select name, count(*) as n from (select unnest("${column}") as name from ${data}) group by 1 order by 1`)
const types = (await rows(`describe select * from ${data}`)).map((r) => r.column_type).filter((t) => t.endsWith('[]') && !t.startsWith('STRUCT')).sort().join(' ').toLowerCase()
const list = (l) => Object.fromEntries(l.map((r) => [r.name, Number(r.n)]))
console.log(JSON.stringify({
  spans: Number(all.spans), traces: Number(all.traces), duration: all.duration, perTrace: all.per_trace, roots: Number(all.roots), loose: Number(all.loose),
  services: list(services), scopes: list(scopes), status: attrs.status, users: Number(attrs.users), ones: Number(attrs.ones), hot: Number(attrs.hot),
  score: Number(attrs.score), overflow: attrs.overflow, keys: list(keys), children: Number(children.n),
  tagged: Number(arrays.tagged), tags: list(await elements('span.tags')), userTags: list(await elements('span.user#string[]')),
  ports: arrays.ports, ratios: Number(arrays.ratios), turns: Number(arrays.turns), types,
}))
