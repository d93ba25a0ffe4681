// Package monitor speaks to monitoring systems: one verdict for each ring over all views, as a table, as a Nagios plugin's
// line, in the text format of Prometheus, and as an exporter that looks again and again.
package monitor
