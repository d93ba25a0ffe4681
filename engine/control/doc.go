// Package control is the HTTP face of rings and gossip: pages for people, JSON for programs.
//
// Start with [New] and [Control.Handler]. One handler serves
//
//   - the first page (/): what the process is, and links to what it serves;
//   - the ring pages (/ingester/ring, /partition-ring, …): HTML that works without JavaScript, or the JSON
//     of the dskit family with a few fields added, for Accept: application/json or ?format=json;
//   - the control API under /api/ring/v1, in the words of package ringapi;
//   - /memberlist: members, keys, values, downloads;
//   - the downscale endpoints that rollout tools call.
//
// Everything that changes a ring passes one gate (gate.go): off unless a token file or client certificates
// are configured; then a credential, protection against forged forms, and a reason; each attempt becomes
// one line in the audit log. The changes themselves are pure functions of the ring's value (edit.go).
//
// What it does not do: it shows and edits what this process sees. Whether others agree is a question for
// somebody who asks several of them, such as ringctl.
package control
