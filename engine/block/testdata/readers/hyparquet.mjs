// Prints what hyparquet sees in a block folder, as one line of JSON.
import { pathToFileURL } from 'node:url'
const base = process.env.NODE_MODULES
const { asyncBufferFromFile } = await import(pathToFileURL(base + '/node_modules/hyparquet/src/node.js'))
const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import(pathToFileURL(base + '/node_modules/hyparquet/src/index.js'))
const { compressors } = await import(pathToFileURL(base + '/node_modules/hyparquet-compressors/src/index.js'))

const dir = process.argv[2]
const read = async (name) => parquetReadObjects({ file: await asyncBufferFromFile(`${dir}/${name}`), compressors, utf8: false })
const spans = await read('data.parquet')
const tables = await read('resources.parquet')
const service = new Map(tables.filter((r) => r.kind === 'resource').map((r) => [r.id, r.service_name]))
const scope = new Map(tables.filter((r) => r.kind === 'scope').map((r) => [r.id, r.scope_name]))
const count = (f) => spans.reduce((n, s) => n + (f(s) ? 1 : 0), 0)
const sum = (f) => spans.reduce((n, s) => n + BigInt(f(s) ?? 0), 0n).toString()
const tally = (f) => {
  const m = {}
  for (const s of spans) for (const k of f(s)) m[k] = (m[k] ?? 0) + 1
  return Object.fromEntries(Object.entries(m).sort(([a], [b]) => (a < b ? -1 : 1)))
}
const nested = new Set(spans.map((s) => `${s.trace_id}/${s.nested_left}`))
const flat = (key) => spans.flatMap((s) => s[key] ?? [])
const named = { BYTE_ARRAY: 'varchar', INT64: 'bigint', DOUBLE: 'double', BOOLEAN: 'boolean' }
const schema = parquetSchema(await parquetMetadataAsync(await asyncBufferFromFile(`${dir}/data.parquet`)))
const types = schema.children.filter((c) => c.element.logical_type?.type === 'LIST' || c.element.converted_type === 'LIST')
  .map((c) => c.children[0].children[0]).filter((e) => e.children.length === 0).map((e) => named[e.element.type] + '[]').sort().join(' ')
const text = (v) => (v === null || v === undefined ? v : String(v))
console.log(JSON.stringify({
  spans: spans.length, traces: new Set(spans.map((s) => String(s.trace_id))).size, duration: sum((s) => s.duration),
  perTrace: sum((s) => s.trace_span_count), roots: count((s) => s.root_name != null), loose: count((s) => s.parent_span_id != null),
  services: tally((s) => [service.get(s.resource_id)]), scopes: tally((s) => [scope.get(s.scope_id)]),
  status: sum((s) => s['span.http.status_code']), users: count((s) => s['span.user'] != null),
  ones: count((s) => (text(s['span.user']) ?? '').startsWith('user-1')), hot: count((s) => s['span.hot']),
  score: spans.reduce((n, s) => n + (s['span.score'] ?? 0), 0),
  overflow: String(spans.reduce((n, s) => n + (s.span_overflow?.length ?? 0), 0)),
  keys: tally((s) => (s.span_overflow ?? []).map((o) => o.key)),
  tagged: count((s) => s['span.tags'] != null), tags: tally((s) => (s['span.tags'] ?? []).map(text)),
  userTags: tally((s) => (s['span.user#string[]'] ?? []).map(text)),
  ports: flat('span.ports').reduce((n, v) => n + BigInt(v), 0n).toString(), ratios: flat('span.ratios').reduce((n, v) => n + v, 0),
  turns: flat('span.turns').filter((v) => v).length, types,
  children: count((s) => s.nested_parent > 0 && nested.has(`${s.trace_id}/${s.nested_parent}`)),
}))
